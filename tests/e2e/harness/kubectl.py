"""kubectl and helm as the story uses them, and waits that report the state when they give up.

A wait has a deadline, and its failure carries the objects, events and logs of the namespace: the cluster is
gone by the time someone reads the report.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

Found = TypeVar("Found")
POLL_SECONDS = 0.3
SHOWN_LINES = 60


class CommandFailed(AssertionError):
    """A command that ended with another code than 0; `output` is what it said."""

    def __init__(self, command: list[str], output: str) -> None:
        super().__init__(f"{' '.join(command)}\n{output}")
        self.output = output


def run(*command: str, text: str | None = None, timeout: float = 120) -> str:
    """What the command printed. Raises `CommandFailed` with stdout and stderr."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode:
        raise CommandFailed(list(command), done.stdout + done.stderr)
    return done.stdout


@dataclass(frozen=True)
class Kubectl:
    """One namespace of the cluster that KUBECONFIG names. `neighbour` is one whose logs are shown too."""

    namespace: str
    neighbour: str | None = None

    def __call__(self, *arguments: str, text: str | None = None, timeout: float = 120) -> str:
        return run("kubectl", "--namespace", self.namespace, *arguments, text=text, timeout=timeout)

    def get(self, *arguments: str) -> dict[str, Any]:
        """The object, or the list, as JSON."""
        found: dict[str, Any] = json.loads(self("get", *arguments, "-o", "json"))
        return found

    def items(self, *arguments: str) -> list[dict[str, Any]]:
        """The objects of a list; none when there are none."""
        found: list[dict[str, Any]] = self.get(*arguments)["items"]
        return found

    def exists(self, *arguments: str) -> bool:
        """Whether the named object is there."""
        return bool(self("get", *arguments, "--ignore-not-found", "-o", "name").strip())

    def apply(self, manifest: dict[str, Any] | str) -> None:
        """Creates or changes what the manifest describes."""
        self("apply", "-f", "-", text=manifest if isinstance(manifest, str) else json.dumps(manifest))

    def merge(self, resource: str, change: dict[str, Any]) -> None:
        """Changes the fields that are given, as `kubectl edit` would."""
        self("patch", resource, "--type", "merge", "-p", json.dumps(change))

    def until(self, what: str, look: Callable[[], Found | None], seconds: float) -> Found:
        """The first truthy value of `look`. A command that fails meanwhile counts as not yet."""
        end, last = time.monotonic() + seconds, ""
        while True:
            try:
                found = look()
                if found:
                    return found
            except (CommandFailed, KeyError, IndexError) as problem:
                last = f"\nlast problem: {problem!r}"
            if time.monotonic() > end:
                raise AssertionError(f"{what}: not after {seconds:g} s{last}\n{self.diagnosis()}")
            time.sleep(POLL_SECONDS)

    def until_event(self, name: str, *words: str, seconds: float = 180) -> str:
        """The reason and message of the first Event of the object `name` that has all the words. An Event is
        written after the condition that it tells of.
        """

        def look() -> str | None:
            events = self.items("events", "--field-selector", f"involvedObject.name={name}")
            lines = [f"{each['reason']}: {each.get('message', '')}" for each in events]
            return next((line for line in lines if all(word in line for word in words)), None)

        return self.until(f"an Event of {name} with {words}", look, seconds)

    def diagnosis(self) -> str:
        """What a person would read first: objects, descriptions, events, the pods' last lines."""
        commands = [
            ("get", "lgs,deployments,statefulsets,pods,persistentvolumeclaims", "-o", "wide"),
            ("describe", "lgs"),
            ("get", "events", "--sort-by=.lastTimestamp"),
        ]
        parts = [self._said(*command) for command in commands]
        parts += self._last_lines()
        if self.neighbour:
            parts += Kubectl(self.neighbour)._last_lines()
        return "\n".join(parts)

    def _last_lines(self) -> list[str]:
        pods = self._said("get", "pods", "-o", "name", shown=200).splitlines()
        return [
            f"--- {self.namespace} {pod}\n" + self._said("logs", pod, "--all-containers", "--tail=12")
            for pod in pods
            if pod.startswith("pod/")
        ]

    def _said(self, *arguments: str, shown: int = SHOWN_LINES) -> str:
        try:
            output = self(*arguments, timeout=30)
        except (CommandFailed, subprocess.TimeoutExpired) as problem:
            output = str(problem)
        return "\n".join(output.splitlines()[-shown:])

    def pods(self, selector: str) -> list[dict[str, Any]]:
        """The pods of the selector that are not on their way out."""
        pods = self.items("pods", "-l", selector)
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def metrics(self, pod: str, port: int = 8000) -> str:
        """A pod's Prometheus text, through the API server."""
        return self("get", "--raw", f"/api/v1/namespaces/{self.namespace}/pods/{pod}:{port}/proxy/metrics")

    @contextlib.contextmanager
    def forwarded(self, target: str, port: int) -> Iterator[str]:
        """URL on 127.0.0.1 that leads to a port of a service or pod while the block runs."""
        command = ["kubectl", "--namespace", self.namespace, "port-forward", target, f":{port}"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            assert process.stdout
            line = process.stdout.readline()
            assert "127.0.0.1:" in line, f"{' '.join(command)}: {line}{process.stdout.read()}"
            yield f"http://127.0.0.1:{line.split('127.0.0.1:')[1].split()[0]}"
        finally:
            process.terminate()
            process.wait()


def is_ready(pod: dict[str, Any]) -> bool:
    """Whether a pod takes work."""
    conditions = pod.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def condition(thing: dict[str, Any], kind: str) -> dict[str, Any]:
    """A condition of an object's status; empty when it has none of that type."""
    conditions = thing.get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] == kind), {})


def answers(url: str) -> bool:
    """Whether a GET is answered 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
