"""The one writer of a service's status: what was observed and what the autoscaler says, in one write.

A status that says nothing new is not written. None is written to a later service of the same name, which
would then restore nothing, or look for the database of the earlier one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import SERVICE_OF_OURS, ServiceKey

REJECTED: Final = 422
"""The HTTP status for a patch whose test fails, and for a status that breaks the schema."""


class Publisher:
    """Writes the status of services, and remembers what it wrote last, so that it need not wait to see it."""

    def __init__(self, cluster: KubeClient) -> None:
        self._cluster = cluster
        self._written: dict[ServiceKey, tuple[str, dict[str, Any]]] = {}
        self._locks: dict[ServiceKey, asyncio.Lock] = {}

    def current(self, key: ServiceKey, body: Mapping[str, Any]) -> dict[str, Any]:
        """The status as this process last wrote or read it."""
        written = self._written.get(key)
        if written is not None and written[0] == body["metadata"]["uid"]:
            return written[1]
        return dict(body.get("status") or {})

    async def settled(self, key: ServiceKey) -> None:
        """Returns once no write of the status is under way: what it set off may be seen before its answer."""
        async with self._locks.setdefault(key, asyncio.Lock()):
            pass

    async def publish(self, key: ServiceKey, body: Mapping[str, Any], status: dict[str, Any]) -> bool:
        """Writes the status if it differs; True if it was written. A service that is gone is no
        error, whether or not another has its name now. Raises `KubeError` for any other failure; the
        caller may try again."""
        uid = body["metadata"]["uid"]
        async with self._locks.setdefault(key, asyncio.Lock()):
            if self.current(key, body) == status:
                return False
            try:
                await self._cluster.patch_status(SERVICE_OF_OURS, *key, status_of_this(uid, status))
            except KubeError as error:
                if error.not_found or (error.status == REJECTED and not await self._is_there(key, uid)):
                    return False
                raise
            self._written[key] = (uid, status)
            return True

    async def _is_there(self, key: ServiceKey, uid: str) -> bool:
        found = await self._cluster.found(SERVICE_OF_OURS, *key)
        return found is not None and found["metadata"]["uid"] == uid

    def forget(self, key: ServiceKey) -> None:
        """Forgets a service that is gone."""
        self._written.pop(key, None)
        self._locks.pop(key, None)


def status_of_this(uid: str, status: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The patch that sets the status of exactly the object with this uid. An apply would not do: for the
    status subresource the API server accepts any uid."""
    return [
        {"op": "test", "path": "/metadata/uid", "value": uid},
        {"op": "add", "path": "/status", "value": status},
    ]
