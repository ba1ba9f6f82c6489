"""A pod whose node does not come to its containers, as a kubelet and its Events tell of it."""

from __future__ import annotations

import json
from typing import Any

from controlplane.story import Story


def is_held_up(story: Story, pod: dict[str, Any], reason: str, message: str) -> None:
    """The pod has had its node for long, and an Event says what keeps that."""
    metadata, spec = pod["metadata"], pod["spec"]
    about = {"kind": "Pod", "name": metadata["name"], "namespace": story.namespace, "uid": metadata["uid"]}
    told = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"held-up-{metadata['name']}"},
        "involvedObject": {"apiVersion": "v1"} | about,
        "type": "Warning",
        "reason": reason,
        "message": message,
        "lastTimestamp": metadata["creationTimestamp"],
    }
    story.apply(told)
    long_ago = {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    waiting = {"image": "x", "imageID": "", "ready": False, "restartCount": 0}
    waiting |= {"state": {"waiting": {"reason": "ContainerCreating"}}}
    statuses = [{"name": each["name"]} | waiting for each in spec["containers"]]
    patch = {"status": {"conditions": [long_ago], "containerStatuses": statuses}}
    where = ("pod", metadata["name"], "-n", story.namespace, "--subresource=status")
    story.plane.run("patch", *where, "-p", json.dumps(patch))
