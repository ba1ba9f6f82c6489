"""One Lease, which has one holder at a time: taken by compare-and-swap, renewed by taking it again.

It is free if nobody holds it, or if its holder has not renewed it for as long as it says. Times are measured
on our own clock, from when the Lease was last seen to change: the clocks of two holders may differ.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime

from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import LEASE, Manifest


class LostLease(Exception):
    """Another process may hold the Lease now; who acted by it must stop at once."""


class HeldLease:
    """Takes and renews one Lease. `holder` is who held it when it was last read; empty: nobody."""

    def __init__(
        self,
        cluster: KubeClient,
        namespace: str,
        name: str,
        *,
        identity: str,
        seconds: float,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        self._cluster = cluster
        self.namespace = namespace
        self.name = name
        self._identity = identity
        self._seconds = seconds
        self._labels = dict(labels or {})
        self._seen: tuple[str, float] = ("", 0.0)
        self.holder = ""

    async def take(self) -> bool:
        """Takes or renews the Lease; False if another process holds it or was faster. Raises `KubeError`."""
        lease = await self._cluster.get(LEASE, self.namespace, self.name)
        try:
            if lease is None:
                await self._cluster.create(LEASE, self.namespace, self._taken(None))
            elif not self._is_free(lease):
                return False
            else:
                await self._cluster.replace(LEASE, self._taken(lease))
        except KubeError as error:
            if error.conflict:
                return False
            raise
        self.holder = self._identity
        return True

    async def give_back(self) -> None:
        """Lets another process take the Lease at once, if it is still ours. Raises `KubeError`."""
        lease = await self._cluster.get(LEASE, self.namespace, self.name)
        if lease is not None and lease.get("spec", {}).get("holderIdentity") == self._identity:
            lease["spec"] = lease.get("spec", {}) | {"holderIdentity": "", "leaseDurationSeconds": 1}
            await self._cluster.replace(LEASE, lease)

    def _is_free(self, lease: Manifest) -> bool:
        spec = lease.get("spec", {})
        self.holder = spec.get("holderIdentity") or ""
        if self.holder in {"", self._identity}:
            return True
        version, since = self._seen
        if lease["metadata"]["resourceVersion"] != version:
            self._seen = (lease["metadata"]["resourceVersion"], time.monotonic())
            return False
        return time.monotonic() - since > float(spec.get("leaseDurationSeconds") or self._seconds)

    def _taken(self, lease: Manifest | None) -> Manifest:
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        before = (lease or {}).get("spec", {})
        same = before.get("holderIdentity") == self._identity
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": max(1, round(self._seconds)),
            "renewTime": stamp,
            "acquireTime": before.get("acquireTime", stamp) if same else stamp,
            "leaseTransitions": int(before.get("leaseTransitions") or 0) + (0 if same or not lease else 1),
        }
        head = lease or {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.name,
            "metadata": {"name": self.name, "namespace": self.namespace, "labels": self._labels},
        }
        return head | {"spec": spec}
