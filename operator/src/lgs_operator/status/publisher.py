"""The one writer of a service's status: what was observed and what the autoscaler says, in one apply.

A status that says nothing new is not written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from lgs_crds import API_VERSION, KIND
from lgs_operator.kube.client import KubeClient, KubeError
from lgs_operator.kube.kinds import ServiceKey


class Publisher:
    """Remembers what it wrote last, so that it need not wait to see it."""

    def __init__(self, cluster: KubeClient) -> None:
        self._cluster = cluster
        self._written: dict[ServiceKey, tuple[str, dict[str, Any]]] = {}
        self._locks: dict[ServiceKey, asyncio.Lock] = {}

    def current(self, key: ServiceKey, body: Mapping[str, Any]) -> dict[str, Any]:
        """The status as this process wrote or read it last."""
        written = self._written.get(key)
        if written is not None and written[0] == body["metadata"]["uid"]:
            return written[1]
        return dict(body.get("status") or {})

    async def publish(self, key: ServiceKey, body: Mapping[str, Any], status: dict[str, Any]) -> bool:
        """Writes the status if it differs; True when it did. A service that is gone is no error. Where
        somebody was faster, or another service has the name now, the caller may try again."""
        uid = body["metadata"]["uid"]
        async with self._locks.setdefault(key, asyncio.Lock()):
            if self.current(key, body) == status:
                return False
            try:
                await self._cluster.apply(
                    {
                        "apiVersion": API_VERSION,
                        "kind": KIND,
                        "metadata": {"name": key.name, "namespace": key.namespace, "uid": uid},
                        "status": status,
                    },
                    sub="status",
                )
            except KubeError as error:
                if error.not_found:
                    return False
                raise
            self._written[key] = (uid, status)
            return True

    def forget(self, key: ServiceKey) -> None:
        """The service is gone."""
        self._written.pop(key, None)
        self._locks.pop(key, None)
