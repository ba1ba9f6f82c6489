"""Fair turns between groups: takes waiting items from one group after the other, however many each has
waiting, and runs at most so many of one group at a time. Groups are namespaces: no tenant waits for another's
load."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """Waiting items by group, first come, first served within a group. `most_of_one` is how many of one group
    may be under way."""

    def __init__(self, most_of_one: int) -> None:
        self._most = most_of_one
        self._waiting: dict[str, deque[T]] = {}
        self._under_way: Counter[str] = Counter()

    def put(self, group: str, item: T) -> None:
        """Adds an item behind the others of its group."""
        self._waiting.setdefault(group, deque()).append(item)

    def take(self) -> tuple[str, T] | None:
        """Takes the next item, with its group; None if no waiting item may begin. `done` must follow when it
        is over."""
        for group, items in self._waiting.items():
            if self._under_way[group] < self._most:
                item = items.popleft()
                # the group goes behind the others, if it has more
                del self._waiting[group]
                if items:
                    self._waiting[group] = items
                self._under_way[group] += 1
                return group, item
        return None

    def done(self, group: str) -> None:
        """Notes that a taken item of the group is over."""
        self._under_way[group] -= 1
        if not self._under_way[group]:
            del self._under_way[group]


class FairSlots:
    """`total` slots, of which one group has at most `most_of_one` at a time."""

    def __init__(self, total: int, most_of_one: int) -> None:
        self._free = total
        self._turns: Turns[asyncio.Future[None]] = Turns(most_of_one)

    @asynccontextmanager
    async def slot(self, group: str) -> AsyncIterator[None]:
        """Waits for the group's turn, and holds a slot while the block runs."""
        await self._turn(group)
        try:
            yield
        finally:
            self._give_back(group)

    async def _turn(self, group: str) -> None:
        """Waits for the group's turn. It has a slot then, until that is given back."""
        mine = asyncio.get_running_loop().create_future()
        self._turns.put(group, mine)
        self._grant()
        try:
            await mine
        except asyncio.CancelledError:
            if not mine.cancelled():
                self._give_back(group)
            raise

    async def all(self, group: str, works: Iterable[Callable[[], Coroutine[Any, Any, T]]]) -> list[T]:
        """What each of these gives, in their order, each done in a slot of its own. A task is made for one
        when its turn has come: thousands that wait take little memory. Raises what the first that fails
        raises."""
        made = list[asyncio.Task[T]]()
        try:
            async with asyncio.TaskGroup() as tasks:
                for work in works:
                    await self._turn(group)
                    made.append(tasks.create_task(work()))
                    made[-1].add_done_callback(lambda _: self._give_back(group))
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return [each.result() for each in made]

    def _grant(self) -> None:
        while self._free and (taken := self._turns.take()) is not None:
            group, turn = taken
            if turn.cancelled():
                self._turns.done(group)
                continue
            self._free -= 1
            turn.set_result(None)

    def _give_back(self, group: str) -> None:
        self._free += 1
        self._turns.done(group)
        self._grant()
