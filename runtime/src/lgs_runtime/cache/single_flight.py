"""Who computes what in this replica: one at a time for a key, whether in a task or in a thread, and the
others wait for it (single flight).

The one who computes does so in its own task, so that its context, its stream and its cancellation are its
own. When it is cancelled, one of those who wait goes on in its place.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from time import monotonic
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any, Final
from uuid import uuid4

HOLDS: Final = (MemberDescriptorType, GetSetDescriptorType)
"""What an object holds beside its `__dict__`: slots, and the fields of Python's own exceptions."""
# By these and not by name: an exception of the application's may have a `__setattr__` that refuses.
ARGUMENTS: Final[Any] = BaseException.args
ATTRIBUTES: Final[Any] = vars(BaseException)["__dict__"]


class Without(Enum):
    """How a flight may end without a value for those who wait."""

    AGAIN = "again"
    """Who computed gave up: one of those who wait goes on."""
    ALONE = "alone"
    """The value can't be kept: each computes for itself."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The computation raised, and would for all who wait: in each an exception of its own."""

    raised: Exception

    @classmethod
    def now(cls, raised: Exception) -> Failed:
        """As it is now: what it gets on its way through the code of who computed is nobody else's."""
        return cls(copy_of(raised))

    def again(self) -> Exception:
        """To be raised once. One object for all would bring the frames and notes of each to the others."""
        return copy_of(self.raised)


def copy_of(raised: Exception) -> Exception:
    """An exception with all that one has, made without its constructor; itself where there can be none."""
    kind = type(raised)
    try:
        made = kind.__new__(kind, *ARGUMENTS.__get__(raised, kind))
    except Exception:  # noqa: BLE001 - the application's own `__new__`
        return raised
    if type(made) is not kind:
        return raised
    for each in kind.__mro__:
        for name, held in vars(each).items():
            if isinstance(held, HOLDS) and name not in ("__dict__", "__weakref__"):
                # What was never set stays so, and not all of it can be.
                with suppress(Exception):
                    if (value := held.__get__(raised, kind)) is not _held(held, made, kind):
                        held.__set__(made, value)
    own = ATTRIBUTES.__get__(made, kind)
    own.update(ATTRIBUTES.__get__(raised, kind))
    if notes := own.get("__notes__"):
        own["__notes__"] = list(notes)
    return made


def _held(held: Any, made: Exception, kind: type) -> Any:
    with suppress(AttributeError):
        return held.__get__(made, kind)
    return None


Landing = bytes | Without | Failed


@dataclass(eq=False, slots=True)
class Flight:
    """One computation of the value of a key."""

    key: str
    token: str = field(default_factory=lambda: uuid4().hex)
    leased: bool = False
    """Whether the lease of the key among the replicas is its."""
    loop: asyncio.AbstractEventLoop | None = None
    """Where the one who computes runs, if that is a task."""
    owner: object = None
    """The task that has it computed, where that is not who leads it."""
    beside: bool = False
    """Whether it is computed beside the calls: no call waits for longer than it may take."""
    outdated: bool = False
    """Whether the key was invalidated meanwhile, so that the value must not be kept."""
    waits_for: set[Flight] = field(default_factory=set)
    """What the computation itself waits for."""
    began: float = field(default_factory=monotonic)
    future: Future[Landing] = field(default_factory=Future)

    @property
    def abandoned(self) -> bool:
        """Whether nobody goes on with it: an event loop that is closed never does, one that was stopped may
        not."""
        return self.loop is not None and not self.loop.is_running()

    def leads_to(self, others: frozenset[Flight]) -> bool:
        """Whether it waits, itself or through others, for one of these."""
        seen, rest = set[Flight](), {self}
        while rest:
            seen |= rest
            rest = {waited_for for flight in rest for waited_for in tuple(flight.waits_for)} - seen
        return not seen.isdisjoint(others)


class Flights:
    """The computations under way, by key. Safe in threads."""

    def __init__(self) -> None:
        self._under_way: dict[str, Flight] = {}
        self._alone: set[Flight] = set()
        """Those beside the one of their key, which took too long for who computes them."""
        # The garbage collector may end a flight whose task was left behind, in the midst of this very
        # thread's next line.
        self._lock = threading.RLock()

    def join(self, key: str) -> tuple[Flight, bool]:
        """The flight of a key, and whether the caller leads it. Who leads must `land` it."""
        if (left := self._under_way.get(key)) is not None and left.abandoned:
            left.outdated = True
            self.land(left, Without.AGAIN)
        # Made before anybody looks: what the garbage collector ends as one is made may join, too.
        flight = Flight(key)
        with self._lock:
            if (found := self._under_way.setdefault(key, flight)) is not flight:
                return found, False
        # A future that runs can't be cancelled by one of those who wait for it.
        flight.future.set_running_or_notify_cancel()
        return flight, True

    def alone(self, key: str) -> Flight:
        """A flight beside the one of its key, for a caller that waits for that no longer."""
        flight = Flight(key)
        with self._lock:
            self._alone.add(flight)
        return flight

    def of(self, key: str) -> Flight | None:
        """The flight of a key, if there is one."""
        flight = self._under_way.get(key)
        return None if flight is None or flight.abandoned else flight

    def wait(self, flight: Flight, inside: frozenset[Flight]) -> bool:
        """Whether code in the midst of these flights may wait for another: not, where that is a circle. It
        must say so when it no longer does."""
        with self._lock:
            if flight.leads_to(inside):
                return False
            for leader in inside:
                leader.waits_for.add(flight)
            return True

    def wait_no_more(self, flight: Flight, inside: frozenset[Flight]) -> None:
        """After `wait`."""
        with self._lock:
            for leader in inside:
                leader.waits_for.discard(flight)

    def land(self, flight: Flight, landing: Landing) -> bool:
        """Ends a flight; whether it had not ended before."""
        with self._lock:
            self._alone.discard(flight)
            if self._under_way.get(flight.key) is not flight:
                return False
            del self._under_way[flight.key]
        flight.future.set_result(landing)
        return True

    def outdate_one(self, key: str) -> None:
        """What is being computed for this key must not be kept."""
        if (flight := self._under_way.get(key)) is not None:
            flight.outdated = True
        for flight in tuple(self._alone):
            flight.outdated |= flight.key == key

    def outdate(self, prefix: str) -> None:
        """What is being computed for keys that begin so must not be kept."""
        with self._lock:
            # A copy of all at once: the garbage collector may end one as pairs are made.
            for flight in (*self._under_way.copy().values(), *self._alone):
                flight.outdated |= flight.key.startswith(prefix)

    def leased(self) -> list[tuple[str, str]]:
        """The keys and tokens of those that hold a lease."""
        with self._lock:
            held = [each for each in tuple(self._under_way.values()) if each.leased and not each.abandoned]
            return [(flight.key, flight.token) for flight in held]
