"""What a user does to a service, and what they see of it."""

from __future__ import annotations

import itertools
import json
from typing import Any

from controlplane.controlplane_server import ControlPlane
from controlplane.manifests import condition
from controlplane.operators import Running
from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.kinds import DEPLOYMENT, EVENT, SERVICE_OF_OURS, Kind
from support.waiting import until

OURS = "involvedObject.kind=LangGraphService"
_times = itertools.count(1)


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

    async def has_condition(self, kind: str, status: str, reason: str, *words: str) -> dict[str, Any]:
        """The condition, as soon as it says this of the newest manifest, with all of the words: it may have
        said the same of the one before, and says first what is known first."""

        async def seen() -> dict[str, Any] | None:
            service = await self.get(SERVICE_OF_OURS)
            self.status = service.get("status", {})
            found = condition(self.status, kind)
            is_so = (found.get("status"), found.get("reason")) == (status, reason)
            is_newest = is_so and found["observedGeneration"] == service["metadata"]["generation"]
            return found if is_newest and all(each in found["message"] for each in words) else None

        wanted = " ".join((status, reason, *words))
        return await until(seen, lambda: f"{kind} is not {wanted}: {json.dumps(self.status)}")

    async def event(self, reason: str, *words: str) -> str:
        """The messages of the Events of this reason, as soon as they have all of the words: they may be
        written later than the condition, and one after the other."""

        async def told() -> str | None:
            found, _ = await self.cluster.list(EVENT, self.namespace, fields=f"reason={reason},{OURS}")
            said = " ".join(each["message"] for each in found).strip()
            return said if all(each in said for each in words) else None

        return await until(told, f"no Event {' '.join((reason, *words))}")

    async def is_looked_at(self, operator: Running) -> None:
        """Returns when a reconciliation has ended; the Deployment is touched for it."""
        before = await operator.metric("lgs_operator_reconciles_total")
        touched = f"seen={next(_times)}"
        self.plane.run("annotate", "deployment", "support", "-n", self.namespace, touched, "--overwrite")

        async def ended() -> bool:
            return await operator.metric("lgs_operator_reconciles_total") > before

        await until(ended, "it is not reconciled")

    async def template(self) -> dict[str, Any]:
        template: dict[str, Any] = (await self.get(DEPLOYMENT))["spec"]["template"]
        return template
