"""One operator acts at a time: a Lease that the leader renews and that others take when it has run out.

A leader that ends gives the Lease back, so its successor starts at once; one that dies is followed after
`lease_seconds`. Times are compared on the follower's own clock, from when it saw the Lease change last.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import structlog

from lgs_operator.kube.client import KubeClient, KubeError
from lgs_operator.kube.kinds import LEASE, Manifest
from lgs_operator.settings import Settings

log = structlog.get_logger(__name__)


class LostLease(Exception):
    """Another operator may lead now; this one must stop at once."""


class LeaderElector:
    """`acquire`, then `hold` for as long as this process acts, then `release`."""

    def __init__(self, cluster: KubeClient, settings: Settings) -> None:
        self._cluster = cluster
        self._namespace = settings.operator_namespace
        self._name = settings.lease_name
        self._identity = settings.identity
        self._seconds = settings.lease_seconds
        self._seen: tuple[str, float] = ("", 0.0)
        self.leading = False

    async def acquire(self) -> None:
        """Returns when this process leads."""
        while True:
            try:
                if await self._try():
                    self.leading = True
                    log.info("leader.acquired", identity=self._identity)
                    return
            except KubeError as error:
                log.warning("leader.acquire_failed", error=str(error))
            await asyncio.sleep(self._seconds / 5)

    async def hold(self) -> None:
        """Renews until cancelled. Raises `LostLease` before another operator can take over."""
        renewed = time.monotonic()
        while True:
            await asyncio.sleep(self._seconds / 5)
            try:
                async with asyncio.timeout(self._seconds / 5):
                    held = await self._try()
            except (KubeError, TimeoutError) as error:
                log.warning("leader.renew_failed", error=str(error) or "timeout")
                if time.monotonic() - renewed > self._seconds * 0.6:
                    self.leading = False
                    raise LostLease("the Lease could not be renewed in time") from error
                continue
            if not held:
                self.leading = False
                raise LostLease("another operator holds the Lease")
            renewed = time.monotonic()

    async def release(self) -> None:
        """Lets the next one start at once. Does nothing when this process does not lead."""
        if not self.leading:
            return
        self.leading = False
        try:
            lease = await self._cluster.get(LEASE, self._namespace, self._name)
            if lease is not None and lease["spec"].get("holderIdentity") == self._identity:
                lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
                await self._cluster.replace(LEASE, lease)
        except KubeError as error:
            log.warning("leader.release_failed", error=str(error))

    async def _try(self) -> bool:
        lease = await self._cluster.get(LEASE, self._namespace, self._name)
        try:
            if lease is None:
                await self._cluster.create(LEASE, self._namespace, self._taken(None))
                return True
            if not self._is_free(lease):
                return False
            await self._cluster.replace(LEASE, self._taken(lease))
        except KubeError as error:
            if error.conflict:
                return False
            raise
        return True

    def _is_free(self, lease: Manifest) -> bool:
        spec = lease.get("spec", {})
        if spec.get("holderIdentity") in {None, "", self._identity}:
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
            "metadata": {"name": self._name, "namespace": self._namespace},
        }
        return head | {"spec": spec}
