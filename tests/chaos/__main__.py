"""The ordeal at length: thousands of runs while one thing after another fails, and the account at the end.

    python -m chaos [--runs 10000] [--minutes 30] [--seed N] [--durability sync]

Runs arrive evenly over the minutes. Faults follow each other at random from the printed seed; after each the
field is whole again for a moment. Prints one line a fault, and the account: what was acknowledged, finished,
lost, done twice, and how many runs went on elsewhere by the fault that moved them. Exits with 1 unless every
acknowledged run ended once, with the right result.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from bisect import bisect_right
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from chaos.faults import FAULTS
from chaos.field import Field, open_field
from chaos.ordeal import Verdict, judge
from load.player import Played, Player, Work

STEPS = 4
STEP_SECONDS = 0.5
MOST_AT_ONCE = 300
CALM_SECONDS = (1.0, 6.0)
LAST_RUNS_SECONDS = 180.0


class Ordeal:
    """One long ordeal of a field."""

    def __init__(self, field: Field, seed: int, durability: str) -> None:
        self._field = field
        self._durability = durability
        self._dice = random.Random(seed)
        self.done: list[tuple[float, str]] = []
        """The faults, with when each began."""

    async def play(self, runs: int, seconds: float) -> list[Played]:
        """Plays the runs while faults happen; returns them when all have ended or their time is up."""
        timeout = httpx.Timeout(10.0, read=30.0)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=50)
        async with httpx.AsyncClient(
            base_url=self._field.fleet.url, timeout=timeout, limits=limits
        ) as client:
            work = Work("agent", STEPS, STEP_SECONDS, self._durability)
            player = Player(client, work, time.monotonic() + seconds + LAST_RUNS_SECONDS)
            faults = asyncio.create_task(self._faults(time.monotonic() + seconds))
            playing = await self._arrive(player, runs, seconds)
            await faults
            return list(await asyncio.gather(*playing))

    async def _arrive(self, player: Player, runs: int, seconds: float) -> list[asyncio.Task[Played]]:
        slots = asyncio.Semaphore(MOST_AT_ONCE)

        async def one() -> Played:
            async with slots:
                return await player.play("normal")

        begun, playing = time.monotonic(), []
        for number in range(runs):
            await asyncio.sleep(max(0.0, begun + seconds * number / runs - time.monotonic()))
            playing.append(asyncio.create_task(one()))
        return playing

    async def _faults(self, until: float) -> None:
        while time.monotonic() < until:
            await asyncio.sleep(self._dice.uniform(*CALM_SECONDS))
            fault = self._dice.choice(FAULTS)
            self.done.append((time.time(), fault.__name__))
            print(f"{time.strftime('%H:%M:%S')} {fault.__name__}", flush=True)
            await asyncio.to_thread(fault, self._field, self._dice)
            await asyncio.to_thread(self._field.fleet.wait_ready)

    def moved_by(self, records: list[dict[str, Any]]) -> Counter[str]:
        """How often a run went on in another attempt or place, by the last fault before it did."""
        begins = [at for at, _ in self.done]
        last: dict[str, tuple[Any, Any]] = {}
        moved: Counter[str] = Counter()
        for record in sorted(records, key=lambda each: float(each["at"])):
            place = (record["attempt"], record["replica"])
            if last.setdefault(record["run_id"], place) != place:
                last[record["run_id"]] = place
                number = bisect_right(begins, record["at"])
                moved[self.done[number - 1][1] if number else "no fault"] += 1
        return moved


def tell(verdict: Verdict, moved: Counter[str], faults: Counter[str]) -> None:
    """The account, for people."""
    print(f"acknowledged {verdict.acknowledged}, finished {verdict.finished}, lost {verdict.lost}, ", end="")
    print(f"doubled {len(verdict.doubled)}, wrong {len(verdict.wrong)}, stuck {len(verdict.stuck)}, ", end="")
    print(f"resumed {verdict.resumed} (steps cut and run again: {len(verdict.repeated)})")
    for name, count in sorted(faults.items()):
        print(f"  {name}: {count} times, {moved[name]} runs went on")
    for what in (*verdict.wrong[:10], *verdict.doubled[:10], *verdict.incomplete[:10], *verdict.stuck[:10]):
        print(f"  ! {what}")


def main() -> int:
    """0 when the account is clean."""
    parser = argparse.ArgumentParser(prog="chaos", description="Runs under random faults, and their account.")
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--durability", choices=("sync", "async", "exit"), default="sync")
    parser.add_argument("--folder", type=Path, help="for logs and records; else a new one")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="lgs-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    print(
        f"seed {options.seed}; {options.runs} runs in {options.minutes:g} minutes; logs in {folder}",
        flush=True,
    )
    with open_field(folder, LGS_MAX_ATTEMPTS="100") as field:
        ordeal = Ordeal(field, options.seed, options.durability)
        played = asyncio.run(ordeal.play(options.runs, options.minutes * 60))
        verdict = judge(field, played, STEPS)
        moved = ordeal.moved_by(field.fleet.records())
    tell(verdict, moved, Counter(name for _, name in ordeal.done))
    return 0 if verdict.clean(options.durability) and verdict.acknowledged == options.runs else 1


if __name__ == "__main__":
    sys.exit(main())
