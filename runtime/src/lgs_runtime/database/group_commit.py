"""Group commit for any kind of work: many callers, few round trips.

Work that arrives while other work is under way gathers, and the next free turn takes all of it; with nothing
under way it goes out at once, alone. Work of one key (a thread) goes in the order of its submission: never in
two turns at a time, and within a turn in order. Work that fails fails alone: its group is halved until it
stands by itself, and work submitted to go `after` it fails with it. While the database can't be reached, a
group is tried again, for a bounded time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final, Generic, TypeVar

from lgs_runtime.backoff import Backoff
from lgs_runtime.errors import StorageUnavailable

MOST_ITEMS: Final = 256
MOST_BYTES: Final = 4 * 1024 * 1024
BACKOFF: Final = Backoff(first_seconds=0.02, longest_seconds=0.5, jitter=0.3)

Work = TypeVar("Work")
Result = TypeVar("Result")


@dataclass(slots=True, eq=False)
class _Item(Generic[Work, Result]):
    """An item in a queue. `work` is None until it is prepared; an `alone` item takes the queue's whole
    turn."""

    done: asyncio.Future[Any]
    work: Work | None = None
    size: int = 0
    alone: bool = False
    after: asyncio.Future[Any] | None = None
    """Work of the same queue that must have succeeded before this item may be done."""


@dataclass(slots=True, eq=False)
class _KeyQueue(Generic[Work, Result]):
    key: str
    items: deque[_Item[Work, Result]] = field(default_factory=deque)
    taken: bool = False
    last: asyncio.Future[Any] | None = None


class GroupCommitter(Generic[Work, Result]):
    """Runs submitted work in groups: `run` gets the works of a group and returns a result for each, or raises
    and has done nothing. At most `at_once` groups are under way."""

    def __init__(
        self,
        run: Callable[[Sequence[Work]], Awaitable[Sequence[Result]]],
        *,
        at_once: int,
        patience_seconds: float,
        most_items: int = MOST_ITEMS,
    ) -> None:
        """`patience_seconds`: how long a group is tried again while the database can't be reached; it is
        tried at least twice."""
        self._run = run
        self._at_once = at_once
        self._patience_seconds = patience_seconds
        self._most_items = most_items
        self._loop = asyncio.get_running_loop()
        self._queues: dict[str, _KeyQueue[Work, Result]] = {}
        self._ready: deque[_KeyQueue[Work, Result]] = deque()
        self._turns: set[asyncio.Task[None]] = set()
        self._preparing: set[asyncio.Task[None]] = set()
        self._scheduled = False
        self._closing = asyncio.Event()

    def submit(
        self, key: str, work: Work, size: int = 0, after: asyncio.Future[Any] | None = None
    ) -> asyncio.Future[Result]:
        """Puts work at the end of a key's queue. The future gets its result, or raises what it failed with:
        `StorageUnavailable` when the database could not be reached. If `after`, submitted to the key before,
        has failed, this work is not done and fails in the same way."""
        return self._append(key, _Item(self._loop.create_future(), work, size, after=after)).done

    def submit_later(
        self,
        key: str,
        prepare: Callable[[], Coroutine[Any, Any, tuple[Work, int]]],
        after: asyncio.Future[Any] | None = None,
    ) -> asyncio.Future[Result]:
        """Like `submit`, for work (and its size) that takes time to prepare; its place in the queue is taken
        now."""
        item: _Item[Work, Result] = self._append(key, _Item(self._loop.create_future(), after=after))
        task = self._loop.create_task(self._prepare(key, item, prepare()))
        self._preparing.add(task)
        task.add_done_callback(self._preparing.discard)
        return item.done

    async def settled(self, key: str) -> None:
        """Returns when everything submitted to the key so far has ended, successfully or not."""
        found = self._queues.get(key)
        if found is not None and found.last is not None:
            await asyncio.wait((found.last,))

    @asynccontextmanager
    async def alone(self, key: str) -> AsyncIterator[None]:
        """Waits for all that was submitted to the key before, then holds the key's turn while the context is
        open."""
        item: _Item[Work, Result] = _Item(self._loop.create_future(), alone=True)
        self._append(key, item)
        mine = self._queues[key]
        ended = mine.last = self._loop.create_future()
        try:
            await item.done
            yield
        finally:
            ended.set_result(None)
            if item.done.done() and not item.done.cancelled() and item.done.exception() is None:
                self._release(mine)

    async def close(self) -> None:
        """Finishes what is under way, without patience, and refuses new work."""
        self._closing.set()
        while self._turns or self._preparing:
            await asyncio.wait((*self._turns, *self._preparing))

    def _append(self, key: str, item: _Item[Work, Result]) -> _Item[Work, Result]:
        if self._closing.is_set():
            raise StorageUnavailable("what writes to the database is closed")
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = _KeyQueue(key)
        queue.items.append(item)
        queue.last = item.done
        if len(queue.items) == 1 and not queue.taken:
            self._offer(queue)
        return item

    async def _prepare(
        self,
        key: str,
        item: _Item[Work, Result],
        preparation: Coroutine[Any, Any, tuple[Work, int]],
    ) -> None:
        try:
            item.work, item.size = await preparation
        except Exception as failed:  # noqa: BLE001 - it is the caller's, and reaches the caller
            _fail(item, failed)
        found = self._queues.get(key)
        if found is not None and not found.taken and found.items and found.items[0] is item:
            self._offer(found)

    def _offer(self, queue: _KeyQueue[Work, Result]) -> None:
        """Decides about the head of a queue that is not taken: it can go, must wait, or goes alone."""
        while queue.items and queue.items[0].done.done():
            # Its caller gave up, or it could not be prepared.
            queue.items.popleft()
        if not queue.items:
            del self._queues[queue.key]
            return
        head = queue.items[0]
        if head.alone:
            queue.items.popleft()
            queue.taken = True
            head.done.set_result(None)
        elif head.work is not None:
            queue.taken = True
            self._ready.append(queue)
            if not self._scheduled:
                # Runs after all callbacks that are ready now: the work they submit goes along.
                self._scheduled = True
                self._loop.call_soon(self._start_turns)

    def _start_turns(self) -> None:
        self._scheduled = False
        while self._ready and len(self._turns) < self._at_once:
            turn = self._loop.create_task(self._turn(*self._take()))
            self._turns.add(turn)
            turn.add_done_callback(self._ended)

    def _ended(self, turn: asyncio.Task[None]) -> None:
        self._turns.discard(turn)
        self._start_turns()

    async def _turn(
        self, items: Sequence[_Item[Work, Result]], queues: Sequence[_KeyQueue[Work, Result]]
    ) -> None:
        try:
            await self._deliver(items)
        finally:
            for item in items:
                if not item.done.done():
                    item.done.set_exception(StorageUnavailable("what writes to the database was stopped"))
            for queue in queues:
                self._release(queue)

    def _take(self) -> tuple[list[_Item[Work, Result]], list[_KeyQueue[Work, Result]]]:
        items: list[_Item[Work, Result]] = []
        queues: list[_KeyQueue[Work, Result]] = []
        size = 0
        while self._ready and len(items) < self._most_items and size < MOST_BYTES:
            queue = self._ready.popleft()
            queues.append(queue)
            waiting = queue.items
            while waiting and waiting[0].work is not None and (not items or size < MOST_BYTES):
                item = waiting.popleft()
                if _may_go(item):
                    items.append(item)
                    size += item.size
        return items, queues

    def _release(self, queue: _KeyQueue[Work, Result]) -> None:
        queue.taken = False
        self._offer(queue)

    async def _deliver(self, items: Sequence[_Item[Work, Result]]) -> None:
        works = [item.work for item in items if item.work is not None]
        try:
            results = await self._patiently(works)
        except StorageUnavailable as unreachable:
            for item in items:
                _fail(item, StorageUnavailable(str(unreachable)))
        except Exception as failed:  # noqa: BLE001 - it reaches the caller whose work failed
            if len(items) == 1:
                _fail(items[0], failed)
                return
            middle = len(items) // 2
            await self._deliver(items[:middle])
            if rest := [item for item in items[middle:] if _may_go(item)]:
                await self._deliver(rest)
        else:
            for item, result in zip(items, results, strict=True):
                if not item.done.done():
                    item.done.set_result(result)

    async def _patiently(self, works: Sequence[Work]) -> Sequence[Result]:
        if not works:
            return ()
        give_up_at = self._loop.time() + self._patience_seconds
        for failures in count():
            try:
                return await self._run(works)
            except StorageUnavailable:
                if failures and (self._loop.time() >= give_up_at or self._closing.is_set()):
                    raise
            # The first failure may come from connections that a restart has cut: the next ones are new.
            await self._pause(BACKOFF.pause(failures) if failures else 0.0)
        raise AssertionError("it is tried until it is given up")

    async def _pause(self, seconds: float) -> None:
        """Waits, unless the committer is closed meanwhile."""
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            return


def _may_go(item: _Item[Any, Any]) -> bool:
    """Whether to deliver an item: its caller has not given up, and the item that it goes after has not
    failed."""
    before = item.after
    if not item.done.done() and before is not None and before.done():
        if before.cancelled():
            _fail(item, StorageUnavailable("what comes before it was not stored"))
        elif (failed := before.exception()) is not None:
            _fail(item, failed)
    return not item.done.done()


def _fail(item: _Item[Any, Any], reason: BaseException) -> None:
    if item.done.done():
        return
    item.done.set_exception(reason)
    if isinstance(reason, StorageUnavailable):
        # Waiters get the error. When nobody waits any more, as after a lost lease, asyncio must not report
        # it.
        item.done.exception()
