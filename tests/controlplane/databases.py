"""A service with a managed database, and what people and mistakes do to it."""

from __future__ import annotations

from typing import Any

from controlplane.manifests import service
from controlplane.story import Story
from lgs_operator.kube.kinds import DEPLOYMENT, SECRET, SERVICE_OF_OURS, STATEFUL_SET
from support.waiting import until

SET, VOLUME = "support-postgres", "data-support-postgres-0"


def managed(**postgres: Any) -> dict[str, Any]:
    return service(persistence={"postgres": {"managed": {"storage": "1Gi"} | postgres}})


async def uid_of(story: Story, kind: Any, name: str) -> str:
    return str((await story.appears(kind, name))["metadata"]["uid"])


async def made_again(story: Story, kind: Any, name: str, old: str) -> dict[str, Any]:
    async def new() -> dict[str, Any] | None:
        found = await story.get(kind, name)
        return found if found and found["metadata"]["uid"] != old else None

    return await until(new, f"{kind.name} {name} is not made again")


async def password(story: Story) -> str:
    return str((await story.appears(SECRET, SET))["data"]["password"])


def delete(story: Story, *what: str) -> None:
    story.plane.run("delete", *what, "-n", story.namespace, "--wait=false")


async def gone(story: Story) -> None:
    """The service and its StatefulSet."""
    delete(story, "lgs", "support")
    await story.vanishes(SERVICE_OF_OURS)
    await story.vanishes(STATEFUL_SET, SET)
    await story.vanishes(DEPLOYMENT)
