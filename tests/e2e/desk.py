"""A small service beside the story's, with a database of its own, for chapters that lose one."""

from __future__ import annotations

import copy
from typing import Any

from e2e.harness.kubectl import condition
from e2e.story import Story


def desk(story: Story, name: str, **managed: Any) -> dict[str, Any]:
    """A small service with a database of its own, of which nothing stays that is not backed up."""
    manifest = copy.deepcopy(story.manifest)
    manifest["metadata"] = {"name": name}
    base = {key: manifest["spec"][key] for key in ("source", "graphs")}
    postgres = {"managed": {"storage": "1Gi", "deletionPolicy": "Delete"} | managed}
    small = {"scaling": {"mode": "Manual"}, "replicas": 1, "persistence": {"postgres": postgres}}
    manifest["spec"] = base | small
    return manifest


def until_condition(story: Story, name: str, kind: str, reason: str, seconds: float) -> dict[str, Any]:
    """The condition, when it says so of the newest manifest."""

    def look() -> dict[str, Any] | None:
        service = story.kubectl.get(f"langgraphservice/{name}")
        found, generation = condition(service, kind), service["metadata"]["generation"]
        is_so = (found.get("reason"), found.get("observedGeneration")) == (reason, generation)
        return found if is_so else None

    return story.kubectl.until(f"{kind} of {name} is {reason}", look, seconds)


def question(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}
