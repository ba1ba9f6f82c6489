"""How signals travel: many in one payload, doubles dropped."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final, Literal, cast, get_args

from lgs_runtime.model import Signal

Kind = Literal["queued", "cancel", "finished", "thread"]
KINDS: Final = get_args(Kind)

BATCH: Final = 50
"""Signals in a payload. Keeps it well below the 8000 bytes that NOTIFY takes."""

KEPT: Final = 10_000
"""Signals that wait to be sent while nobody can take them; the oldest go first."""


def packed(signals: Iterable[Signal]) -> list[str]:
    """Signals as payloads."""
    lines = list(dict.fromkeys(f"{signal.kind} {signal.subject}" for signal in signals))
    return ["\n".join(lines[start : start + BATCH]) for start in range(0, len(lines), BATCH)]


def unpacked(payload: str) -> list[Signal]:
    """The signals of a payload; what is not ours is left out."""
    found = []
    for line in payload.split("\n"):
        kind, _, subject = line.partition(" ")
        if kind in KINDS:
            found.append(Signal(cast(Kind, kind), subject))
    return found


class Inbox:
    """Signals that arrived, in order. Unlike a generator it survives that waiting for the next one is
    cancelled."""

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
