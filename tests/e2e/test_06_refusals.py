"""6. What can't work says so, and recovers when it is mended.

An invalid manifest is refused with the field, the value and the rule; a valid one that can't work has the
reason in its conditions and events.
"""

from __future__ import annotations

import base64
import copy
from typing import Any

import pytest

from e2e.harness.kubectl import CommandFailed, condition
from e2e.harness.report import Report
from e2e.story import NAME, Story

OTHER = "other"


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
