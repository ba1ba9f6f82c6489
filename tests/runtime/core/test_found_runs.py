"""Runs that the storage has as a replica's and that do not execute there: when the replica takes them up. The
storage is a fake that answers at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from lgs_runtime.worker.claim_loop import ClaimLoop
from lgs_runtime.worker.slots import SlotPool
from support.ports import PATIENCE_SECONDS


class Found:
    """A run that was claimed while the answer was lost."""

    run_id, attempt, cancel_requested = "found", 1, None


class Replica:
    """A claim loop with nothing to claim, which finds one run. Its lease is held when the test says so."""

    def __init__(self) -> None:
        self.is_held = False
        self.claimed: asyncio.Queue[None] = asyncio.Queue()
        self.taken: asyncio.Queue[str] = asyncio.Queue()
        whole: Any = self
        self.slots = SlotPool(1, set(), lambda: None)
        self.loop = ClaimLoop(whole, "r", whole, self.slots, whole, lease_held=lambda: self.is_held)

    async def held(self, _: str) -> Sequence[Any]:
        return [Found()]

    async def claim(self, _: int) -> Sequence[Any]:
        self.claimed.put_nowait(None)
        return []

    def lease_lost(self) -> None:
        """Of the claims."""

    def take(self, run: Any, **_: Any) -> None:
        self.slots.claimed(run.run_id).use()
        self.taken.put_nowait(run.run_id)

    async def claims_again(self) -> None:
        """Returns after a claim that began after this was called."""
        for _ in range(2):
            self.loop.wake_up()
            await self.claimed.get()


async def test_a_run_that_is_found_is_taken_up_only_while_the_lease_is_held() -> None:
    replica = Replica()
    replica.loop.start()
    replica.loop.lease_lost()

    await replica.claims_again()
    without = replica.taken.qsize()
    replica.is_held = True
    replica.loop.wake_up()

    assert await asyncio.wait_for(replica.taken.get(), PATIENCE_SECONDS) == "found"
    assert without == 0
    replica.slots.open = False
    await replica.loop.stop()
