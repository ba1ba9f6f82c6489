"""A thread that does the work it is asked for, in order; work that arrives while it is busy is done together.

A crossing between threads costs more than most work for SQLite. So many callers share one way to the thread
and one way back. The way there is a queue: an executor's future, with its locks, costs as much again. Belongs
to the event loop in which it is made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final, Generic, TypeVar

Work = TypeVar("Work")

MOST_TOGETHER: Final = 64


@dataclass(frozen=True, slots=True)
class Failed:
    """The answer to work that raised."""

    reason: BaseException


@dataclass(slots=True, eq=False)
class _Asked(Generic[Work]):
    work: Work
    done: asyncio.Future[Any]


class BatchThread(Generic[Work]):
    """A thread that runs `answer`: it gets the works of a group and returns the result of each, or
    `Failed`."""

    def __init__(self, name: str, answer: Callable[[Sequence[Work]], Sequence[Any]]) -> None:
        self._answer = answer
        self._loop = asyncio.get_running_loop()
        self._groups: SimpleQueue[Sequence[_Asked[Work]] | None] = SimpleQueue()
        self._waiting: list[_Asked[Work]] = []
        self._busy = False
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()
        Thread(target=self._serve, name=name, daemon=True).start()

    @property
    def closed(self) -> bool:
        """Whether it takes no more work."""
        return self._closed

    def ask(self, work: Work) -> asyncio.Future[Any]:
        """Asks for work. The future gets what the work returns, or what it raises. Work whose future is
        cancelled before its turn is not done."""
        done = self._loop.create_future()
        self._waiting.append(_Asked(work, done))
        if not self._busy:
            # Runs after all callbacks that are ready now: the work they ask for goes along.
            self._busy = True
            self._idle.clear()
            self._loop.call_soon(self._take_up)
        return done

    async def close(self) -> None:
        """Takes no more work, and waits for the work that was asked for."""
        self._closed = True
        await self._idle.wait()
        self._groups.put(None)

    def _take_up(self) -> None:
        wanted = [asked for asked in self._waiting if not asked.done.done()]
        group, self._waiting = wanted[:MOST_TOGETHER], wanted[MOST_TOGETHER:]
        self._busy = bool(group)
        if group:
            self._groups.put(group)
        else:
            self._idle.set()

    def _serve(self) -> None:
        # A closed event loop asks for no more work, and for no answer.
        with suppress(RuntimeError):
            for group in iter(self._groups.get, None):
                self._work(group)
                # Keep no reference to finished work while idle.
                del group

    def _work(self, group: Sequence[_Asked[Work]]) -> None:
        answers: Sequence[Any]
        try:
            answers = self._answer([asked.work for asked in group])
        except BaseException as failed:  # noqa: BLE001 - it reaches those who asked
            answers = [Failed(failed)] * len(group)
        self._loop.call_soon_threadsafe(self._hand_out, group, answers)

    def _hand_out(self, group: Sequence[_Asked[Work]], answers: Sequence[Any]) -> None:
        self._take_up()
        for asked, answer in zip(group, answers, strict=True):
            if asked.done.done():
                continue
            if isinstance(answer, Failed):
                asked.done.set_exception(answer.reason)
            else:
                asked.done.set_result(answer)
