"""How signals travel: many in one payload, duplicates dropped."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final, Literal, cast, get_args

from lgs_runtime.model import Signal

Kind = Literal["queued", "cancel", "finished", "thread"]
KINDS: Final = get_args(Kind)

BATCH: Final = 50
"""Most signals in one payload. Keeps it well below the 8000 bytes that NOTIFY takes."""

KEPT: Final = 10_000
"""Most signals kept for sending while the database is away; the oldest are dropped first."""


def packed(signals: Iterable[Signal]) -> list[str]:
    """Packs signals into payloads."""
    lines = list(dict.fromkeys(f"{signal.kind} {signal.subject}" for signal in signals))
    return ["\n".join(lines[start : start + BATCH]) for start in range(0, len(lines), BATCH)]


def unpacked(payload: str) -> list[Signal]:
    """The signals in a payload; lines that are not signals of this service are ignored."""
    found = []
    for line in payload.split("\n"):
        kind, _, subject = line.partition(" ")
        if kind in KINDS:
            found.append(Signal(cast(Kind, kind), subject))
    return found


class Inbox:
    """Signals that arrived, in order. Unlike a generator, it survives the cancellation of a wait for the next
    one."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Signal] = asyncio.Queue()

    def put(self, *signals: Signal) -> None:
        """Adds signals; never waits."""
        for signal in signals:
            self._queue.put_nowait(signal)

    def __aiter__(self) -> Inbox:
        return self

    async def __anext__(self) -> Signal:
        return await self._queue.get()
