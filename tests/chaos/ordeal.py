"""An ordeal: sessions that run while something goes wrong, and the account of them afterwards.

The client's side comes from `load.player`, what the steps did from `e2e.harness.records`, and the rest from
the database itself: three accounts that know nothing of each other, and must agree.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx

from chaos.field import FLEET, LEASE_SECONDS, LEASES_SECONDS, Field
from e2e.harness.records import account
from load.player import Played, Player, Work, summary
from support.ports import PATIENCE_SECONDS


@dataclass(frozen=True)
class Verdict:
    """What became of the runs. `doubled`: steps that ran again although their checkpoint was stored."""

    acknowledged: int
    finished: int
    wrong: list[list[str]]
    doubled: tuple[str, ...]
    incomplete: tuple[str, ...]
    repeated: tuple[str, ...]
    resumed: int
    stuck: list[str]

    @property
    def lost(self) -> int:
        """Runs that were acknowledged and have no end."""
        return self.acknowledged - self.finished

    def clean(self, durability: str = "sync") -> bool:
        """Whether nothing was lost, done twice, or is stuck. Only `sync` promises that a step
        whose successor has begun does not run again."""
        doubled = self.doubled if durability == "sync" else ()
        return not (self.lost or self.wrong or doubled or self.incomplete or self.stuck)


async def ordeal(
    field: Field,
    fault: Callable[[], None],
    *,
    runs: int = 20,
    steps: int = 4,
    step_seconds: float = 0.3,
    durability: str = "sync",
) -> Verdict:
    """Plays sessions at once, lets the fault happen when they are in their steps, and judges."""
    before = len(field.fleet.records())
    work = Work("agent", steps, step_seconds, durability)
    timeout = httpx.Timeout(10.0, read=30.0)
    async with httpx.AsyncClient(base_url=field.fleet.url, timeout=timeout) as client:
        player = Player(client, work, time.monotonic() + PATIENCE_SECONDS)
        playing = [asyncio.create_task(player.play("normal")) for _ in range(runs)]
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(field.fleet.records()) - before < runs:
                await asyncio.sleep(0.05)
        await asyncio.to_thread(fault)
        played = list(await asyncio.gather(*playing))
    return await asyncio.to_thread(judge, field, played, steps)


def kill_at_work(field: Field) -> None:
    """A replica is killed in the middle of a step, if there is one that is."""
    with suppress(TimeoutError):
        field.fleet.end(field.fleet.at_work(seconds=5.0))


async def ordeal_of_killed_replicas(
    field: Field, kill: Callable[[Field], None] = kill_at_work, durability: str = "sync"
) -> Verdict:
    """An ordeal in which replicas are killed in the middle of steps. Where the machine was so slow that all
    runs were over by then, others are played whose steps take longer."""
    for step_seconds in (0.3, 1.5, 6.0):
        field.fleet.start(FLEET - len(field.fleet.replicas))
        field.fleet.wait_ready()
        verdict = await ordeal(field, partial(kill, field), step_seconds=step_seconds, durability=durability)
        if verdict.resumed or not verdict.clean(durability):
            break
    return verdict


async def ordeal_without_lost_leases(
    field: Field, fault: Callable[[], None], *, leases: float = 0.0, **work: Any
) -> Verdict:
    """An ordeal in which every replica keeps its lease, with steps of so many leases when `leases` is given.
    Where the machine stood still for longer than one, replicas with longer ones play it again."""
    for lease_seconds in LEASES_SECONDS:
        if lease_seconds != LEASE_SECONDS:
            field.fleet.replace(LGS_LEASE_SECONDS=str(lease_seconds))
        long = {"step_seconds": leases * lease_seconds} if leases else {}
        verdict = await ordeal(field, fault, **work, **long)
        if not (verdict.repeated or verdict.resumed) or not verdict.clean():
            break
    if lease_seconds != LEASE_SECONDS:
        field.fleet.replace()
    return verdict


def judge(field: Field, played: list[Played], steps: int) -> Verdict:
    """The verdict on sessions that have been played."""
    ours = {run.run_id for run in played}
    told = account([record for record in field.fleet.records() if record["run_id"] in ours], steps)
    said = summary(played, 0.0)
    return Verdict(
        acknowledged=said["acknowledged"],
        finished=said["finished"],
        wrong=[
            [str(run.run_id), str(run.status), *run.problems]
            for run in played
            if run.status != "success" or run.wrong_state
        ],
        doubled=told.wrongly_repeated,
        incomplete=told.incomplete,
        repeated=told.repeated,
        resumed=told.moved,
        stuck=field.unfinished(),
    )
