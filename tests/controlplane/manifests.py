"""Manifests of the stories."""

from __future__ import annotations

from typing import Any


def service(name: str = "support", **spec: Any) -> dict[str, Any]:
    """A service with an image, and whatever else the story says."""
    return {
        "apiVersion": "lgs.dev/v1alpha1",
        "kind": "LangGraphService",
        "metadata": {"name": name},
        "spec": {"image": "example.com/support:1"} | spec,
    }


def condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    """The condition of this type; empty when it is not there."""
    return next((each for each in status.get("conditions", []) if each["type"] == kind), {})
