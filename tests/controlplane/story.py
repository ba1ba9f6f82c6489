"""What a user does to a service, and what they see of it."""

from __future__ import annotations

import json
from typing import Any

from controlplane.controlplane_server import ControlPlane
from controlplane.manifests import condition
from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.kinds import DEPLOYMENT, EVENT, SERVICE_OF_OURS, Kind
from support.waiting import until

OURS = "involvedObject.kind=LangGraphService"


class Story:
    """What a user does and sees in one namespace."""

    def __init__(self, plane: ControlPlane, cluster: KubeClient, namespace: str) -> None:
        self.plane, self.cluster, self.namespace = plane, cluster, namespace

    def apply(self, manifest: dict[str, Any]) -> None:
        self.plane.run("apply", "-n", self.namespace, "-f", "-", stdin=json.dumps(manifest))

    async def get(self, kind: Kind, name: str = "support") -> dict[str, Any]:
        return await self.cluster.get(kind, self.namespace, name) or {}

    async def appears(self, kind: Kind, name: str = "support") -> dict[str, Any]:
        return await until(lambda: self.get(kind, name), f"{kind.name} {name} does not appear")

    async def vanishes(self, kind: Kind, name: str = "support") -> None:
        async def gone() -> bool:
            return not await self.get(kind, name)

        await until(gone, f"{kind.name} {name} stays")

    async def has_condition(self, kind: str, status: str, reason: str) -> dict[str, Any]:
        async def seen() -> dict[str, Any] | None:
            self.status = (await self.get(SERVICE_OF_OURS)).get("status", {})
            found = condition(self.status, kind)
            return found if (found.get("status"), found.get("reason")) == (status, reason) else None

        return await until(seen, lambda: f"{kind} is not {status} {reason}: {json.dumps(self.status)}")

    async def event(self, reason: str) -> str:
        """The messages of the Events of this reason, as soon as there is one: they may be written later than
        the condition."""

        async def told() -> str:
            found, _ = await self.cluster.list(EVENT, self.namespace, fields=f"reason={reason},{OURS}")
            return " ".join(each["message"] for each in found).strip()

        return await until(told, f"no Event {reason}")

    async def template(self) -> dict[str, Any]:
        template: dict[str, Any] = (await self.get(DEPLOYMENT))["spec"]["template"]
        return template
