"""A visitor in a pod of the cluster, who asks by HTTP."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from e2e.harness.kubectl import Kubectl

NAME = "visitor"
_ASK = """
import json, sys, urllib.error, urllib.request
method, url, headers, body, first = json.loads(sys.argv[1])
request = urllib.request.Request(url, body and body.encode(), headers, method=method)
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
try:
    answer = opener.open(request, timeout=20)
except urllib.error.HTTPError as refused:
    answer = refused
except OSError as error:
    print(json.dumps([0, str(error)]))
    sys.exit()
print(json.dumps([answer.status, (answer.readline() if first else answer.read()).decode()]))
"""


class Answer(NamedTuple):
    """Status 0 where nobody answered; then the text says why."""

    status: int
    text: str

    def json(self) -> Any:
        return json.loads(self.text)


@dataclass(frozen=True)
class Visitor:
    """One that waits to be told what to ask."""

    kubectl: Kubectl

    def ask(
        self, url: str, method: str = "GET", body: Any = None, *, first_line: bool = False, **headers: str
    ) -> Answer:
        """The answer, or the first line of it."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        sent = None if body is None else json.dumps(body)
        if sent is not None:
            named["Content-Type"] = "application/json"
        told = json.dumps([method, url, named, sent, first_line])
        return Answer(*json.loads(self.kubectl("exec", NAME, "--", "python", "-c", _ASK, told)))


@contextlib.contextmanager
def visitor(kubectl: Kubectl, image: str, node: str) -> Iterator[Visitor]:
    """One in a pod of this image, which has Python, while the block runs."""
    security = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    container = {
        "name": NAME,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "infinity"],
        "securityContext": security,
    }
    spec = {
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "nodeSelector": {"kubernetes.io/hostname": node},
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": NAME}, "spec": spec})
    kubectl("wait", "--for=condition=Ready", f"pod/{NAME}", "--timeout=120s", timeout=150)
    try:
        yield Visitor(kubectl)
    finally:
        kubectl("delete", "pod", NAME, "--ignore-not-found", "--now")
