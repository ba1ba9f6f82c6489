"""6. What can't work says so, and recovers when it is mended.

An invalid manifest is refused with the field, the value and the rule; a valid one that can't work has the
reason in its conditions and events. Beside it all is a tenant whose manifest can hardly be read, and who gets
nothing by services that is not theirs.
"""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.harness.kubectl import CommandFailed, Kubectl, condition, run
from e2e.harness.report import Report
from e2e.story import NAME, RELEASE, Story

OTHER = "other"
TENANT = Kubectl("tenant")
MAY: dict[str, list[str]] = {"lgs.dev": ["langgraphservices"], "apps": ["deployments"], "": ["services"]}
"""What the tenant may write in their own namespace; Secrets they may not even read."""
LEVELS = 9_993
"""Of lists in each other: what the API server takes, and more than the parser of the image's Python reads."""


def restarts(story: Story) -> dict[str, int]:
    """How often each operator has begun anew."""
    pods = story.system.pods(f"app.kubernetes.io/instance={RELEASE}")
    return {
        pod["metadata"]["name"]: each["restartCount"]
        for pod in pods
        for each in pod["status"]["containerStatuses"]
    }


@pytest.fixture(scope="module")
def restarts_before(story: Story) -> dict[str, int]:
    return restarts(story)


@pytest.fixture(scope="module", autouse=True)
def tenant(restarts_before: dict[str, int]) -> Iterator[Kubectl]:
    """A tenant in a namespace of their own, and a service of theirs that can hardly be read, during the whole
    chapter."""
    rules = [{"apiGroups": [group], "resources": names, "verbs": ["*"]} for group, names in MAY.items()]
    api, whose = "rbac.authorization.k8s.io", {"name": "tenant", "namespace": TENANT.namespace}
    role = {"apiVersion": f"{api}/v1", "kind": "Role", "metadata": whose, "rules": rules}
    bound = {"apiVersion": f"{api}/v1", "kind": "RoleBinding", "metadata": whose}
    bound |= {
        "roleRef": {"apiGroup": api, "kind": "Role", "name": "tenant"},
        "subjects": [{"apiGroup": api, "kind": "User", "name": "tenant"}],
    }
    run("kubectl", "create", "namespace", TENANT.namespace)
    for each in (role, bound):
        TENANT.apply(each)
    inputs = [{"input": {"levels": "LEVELS"}}]
    deep = service("deep", cache={"warmup": {"inputs": inputs}})
    deep["metadata"]["namespace"] = TENANT.namespace
    where = f"/apis/lgs.dev/v1alpha1/namespaces/{TENANT.namespace}/langgraphservices"
    written = json.dumps(deep).replace('"LEVELS"', "[" * LEVELS + "]" * LEVELS)
    TENANT("create", "--as", "tenant", "--raw", where, "-f", "-", text=written)
    yield TENANT
    run("kubectl", "delete", "namespace", TENANT.namespace, "--wait=false")


def service(name: str, **spec: Any) -> dict[str, Any]:
    """One of the tenant's."""
    head = {"apiVersion": "lgs.dev/v1alpha1", "kind": "LangGraphService", "metadata": {"name": name}}
    return head | {"spec": {"image": "localhost/theirs:1"} | spec}


def test_a_manifest_that_can_hardly_be_read_is_told_and_ends_no_operator(
    story: Story, tenant: Kubectl, restarts_before: dict[str, int]
) -> None:
    """All that follows in this chapter is done beside it."""

    def told() -> bool:
        message = "jsonpath={.status.conditions[?(@.type=='Reconciled')].message}"
        return "must have at most 100 levels" in tenant("get", "lgs", "deep", "-o", message)

    tenant.until("the condition of what is too deep", told, 180)
    assert restarts(story) == restarts_before


def test_a_tenant_gets_no_secret_by_a_service_and_a_stolen_operators_account_no_token(
    story: Story, tenant: Kubectl
) -> None:
    tenant("create", "secret", "generic", "hidden", "--from-literal=uri=postgres://x/y")
    named = service("named", persistence={"postgres": {"uriSecret": {"name": "hidden"}}})
    token = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
        "metadata": {
            "name": "token",
            "labels": {"lgs.dev/service": "x"},
            "annotations": {"kubernetes.io/service-account.name": "default"},
        },
    }
    account = f"system:serviceaccount:{story.system.namespace}:{RELEASE}"

    for user, manifest, words in (
        ("tenant", named, "you may not get the secret hidden"),
        (account, token, "only Secrets of the type Opaque"),
    ):
        with pytest.raises(CommandFailed) as refused:
            tenant("create", "--as", user, "-f", "-", text=json.dumps(manifest))
        assert words in refused.value.output


def embedded(story: Story, **spec: Any) -> dict[str, Any]:
    """A second, small service without a database of its own, with other fields as given."""
    manifest = copy.deepcopy(story.manifest)
    manifest["metadata"] = {"name": OTHER}
    base = {key: manifest["spec"][key] for key in ("source", "graphs")}
    manifest["spec"] = base | {"scaling": {"mode": "Manual"}, "replicas": 1} | spec
    return manifest


def until_not_ready(story: Story, *words: str) -> str:
    """Waits until a condition of the other service is not True and its message has all the words."""

    def look() -> str | None:
        service = story.kubectl.get(f"langgraphservice/{OTHER}")
        for each in service.get("status", {}).get("conditions", []):
            if each["status"] != "True" and all(word in each.get("message", "") for word in words):
                return f"{each['type']}: {each['reason']}: {each['message']}"
        return None

    return story.kubectl.until(f"a condition that names {words}", look, 120)


def until_mended(story: Story) -> None:
    """Waits until the other service is Ready."""

    def look() -> bool:
        return condition(story.kubectl.get(f"langgraphservice/{OTHER}"), "Ready").get("status") == "True"

    story.kubectl.until(f"{OTHER} is Ready", look, 180)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scaling": {"minReplicas": 5, "maxReplicas": 2}}, ("minReplicas", "5", "maxReplicas")),
        ({"workers": {"queues": {"high": 0}}}, ("spec.workers.queues.high", "0", "should be greater")),
        ({"workers": {"concurency": 5}}, ("spec.workers.concurency", "unknown field")),
        ({"graphs": {"agent": "./graph.py"}}, ("spec.graphs.agent", "./graph.py")),
    ],
    ids=["min above max", "empty queue", "unknown field", "graph path without a variable"],
)
def test_an_invalid_manifest_is_refused_in_words(
    story: Story, change: dict[str, Any], words: tuple[str, ...]
) -> None:
    with pytest.raises(CommandFailed) as refused:
        story.kubectl.apply(embedded(story, **change))

    assert all(word in refused.value.output for word in words), refused.value.output
    assert not story.kubectl.exists(f"langgraphservice/{OTHER}")


def test_a_missing_image_is_told_and_mended(story: Story, report: Report) -> None:
    story.kubectl.apply(embedded(story, image="localhost/no-such-image:1"))

    told = until_not_ready(story, "no-such-image")
    story.kubectl.until_event(OTHER, "no-such-image")
    story.kubectl.apply(embedded(story))

    until_mended(story)
    report.add("missing image", told.split(": ")[1])
    story.kubectl("delete", "langgraphservice", OTHER, "--wait=true")


def test_an_unreachable_database_is_told_and_mended(story: Story, report: Report) -> None:
    right = story.kubectl.get(f"secret/{NAME}-postgres")["data"]["uri"]
    uri = base64.b64decode(right).decode()
    wrong = uri.replace(f"{NAME}-postgres.", "nowhere.")
    story.kubectl.apply(secret(wrong))
    story.kubectl.apply(
        embedded(story, persistence={"postgres": {"uriSecret": {"name": "database", "key": "uri"}}})
    )

    told = until_not_ready(story, "database")
    story.kubectl.apply(secret(uri.removesuffix("/lgs") + "/other"))
    create = "CREATE DATABASE other"
    story.kubectl("exec", f"statefulset/{NAME}-postgres", "--", "psql", uri, "-c", create)

    until_mended(story)
    report.add("unreachable database", told.split(": ")[1])
    story.kubectl("delete", "langgraphservice", OTHER, "--wait=true")
    story.kubectl("delete", "secret", "database")


def secret(uri: str) -> dict[str, Any]:
    """The Secret that the other service takes its database from."""
    head = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "database"}}
    return head | {"stringData": {"uri": uri}}
