"""Leader election: one operator of an installation acts at a time. The leader renews a Lease, which others
take when it has run out.

A leader that ends gives the Lease back, so its successor starts at once; one that dies is followed after
`lease_seconds`.
"""

from __future__ import annotations

import asyncio
import time

import structlog

from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.lease import HeldLease, LostLease
from lgs_operator.settings import Settings

log = structlog.get_logger(__name__)


class LeaderElector:
    """Call `acquire`, then `hold` as long as this process acts, then `release`."""

    def __init__(self, cluster: KubeClient, settings: Settings) -> None:
        self._identity = settings.identity
        self._seconds = settings.lease_seconds
        self._lease = HeldLease(
            cluster,
            settings.operator_namespace,
            settings.lease_name,
            identity=settings.identity,
            seconds=settings.lease_seconds,
        )
        self.leading = False

    async def acquire(self) -> None:
        """Returns when this process leads. While it waits, it logs each holder once: its log would be empty
        otherwise."""
        waits_for = ""
        while True:
            try:
                if await self._lease.take():
                    self.leading = True
                    log.info("leader.acquired", identity=self._identity)
                    return
                if self._lease.holder != waits_for:
                    waits_for = self._lease.holder
                    log.info("leader.waits", identity=self._identity, holder=waits_for)
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
                    held = await self._lease.take()
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
        """Lets the next operator start at once. Does nothing if this process does not lead."""
        if not self.leading:
            return
        self.leading = False
        try:
            await self._lease.give_back()
        except KubeError as error:
            log.warning("leader.release_failed", error=str(error))
