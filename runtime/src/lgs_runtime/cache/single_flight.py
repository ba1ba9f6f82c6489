"""Single flight: in this replica, one caller at a time computes the value of a key, in a task or in a thread,
and the others wait for it.

That caller, the leader, computes in its own task, so that its context, its stream and its cancellation are
its own. When it is cancelled, one of the callers that wait goes on in its place.
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
"""Descriptors of what an object holds besides its `__dict__`: slots, and the fields of Python's own
exceptions."""
# Accessed through these and not by name: an exception of the application may have a `__setattr__` that
# refuses.
ARGUMENTS: Final[Any] = BaseException.args
ATTRIBUTES: Final[Any] = vars(BaseException)["__dict__"]


class Without(Enum):
    """How a flight may end without a value for those who wait."""

    AGAIN = "again"
    """The leader gave up: one of those who wait goes on."""
    ALONE = "alone"
    """The value can't be kept: each computes for itself."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The computation raised, and would for all who wait: each gets a copy of the exception."""

    raised: Exception

    @classmethod
    def now(cls, raised: Exception) -> Failed:
        """Copies the exception as it is now: what it picks up on its way through the leader's code concerns
        nobody else."""
        return cls(copy_of(raised))

    def again(self) -> Exception:
        """A copy to be raised once: a single object would collect the frames and notes of all who raise
        it."""
        return copy_of(self.raised)


def copy_of(raised: Exception) -> Exception:
    """A full copy of an exception, made without calling its constructor; the exception itself if it can't be
    copied."""
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
                # What was never set stays unset, and not everything can be set.
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
    """Whether this flight holds the key's lease among the replicas."""
    loop: asyncio.AbstractEventLoop | None = None
    """The event loop in which the value is computed, if that is done by a task."""
    owner: object = None
    """The task that computes the value, where it is not the code that joined the flight."""
    beside: bool = False
    """Whether the value is computed in the background: then no call waits for longer than that may take."""
    outdated: bool = False
    """Whether the key was invalidated meanwhile, so that the value must not be kept."""
    waits_for: set[Flight] = field(default_factory=set)
    """The flights that the computation itself waits for."""
    began: float = field(default_factory=monotonic)
    future: Future[Landing] = field(default_factory=Future)

    @property
    def abandoned(self) -> bool:
        """Whether nobody goes on with it, because its event loop does not run: a closed one never will, a
        stopped one may not."""
        return self.loop is not None and not self.loop.is_running()

    def leads_to(self, others: frozenset[Flight]) -> bool:
        """Whether it is one of these flights, or waits for one, directly or through others."""
        seen, rest = set[Flight](), {self}
        while rest:
            seen |= rest
            rest = {waited_for for flight in rest for waited_for in tuple(flight.waits_for)} - seen
        return not seen.isdisjoint(others)


class Flights:
    """The computations under way, by key. Thread-safe."""

    def __init__(self) -> None:
        self._under_way: dict[str, Flight] = {}
        self._alone: set[Flight] = set()
        """Flights apart from the one of their key, whose leaders no longer wait for that one."""
        # Reentrant: the garbage collector may end the flight of an abandoned task at any line of this very
        # thread.
        self._lock = threading.RLock()

    def join(self, key: str) -> tuple[Flight, bool]:
        """The flight of a key, and whether the caller leads it. The leader must `land` it."""
        if (left := self._under_way.get(key)) is not None and left.abandoned:
            left.outdated = True
            self.land(left, Without.AGAIN)
        # Made before the look-up: as one is made, the garbage collector may run code that joins, too.
        flight = Flight(key)
        with self._lock:
            if (found := self._under_way.setdefault(key, flight)) is not flight:
                return found, False
        # A future that is running can't be cancelled by a caller that waits for it.
        flight.future.set_running_or_notify_cancel()
        return flight, True

    def alone(self, key: str) -> Flight:
        """A flight apart from the one of its key, for a caller that no longer waits for that one."""
        flight = Flight(key)
        with self._lock:
            self._alone.add(flight)
        return flight

    def of(self, key: str) -> Flight | None:
        """The flight of a key; None if there is none, or if nobody goes on with it."""
        flight = self._under_way.get(key)
        return None if flight is None or flight.abandoned else flight

    def wait(self, flight: Flight, inside: frozenset[Flight]) -> bool:
        """Whether code inside these flights may wait for another one: not if that would be a circle. If it
        may, `wait_no_more` must be called afterwards."""
        with self._lock:
            if flight.leads_to(inside):
                return False
            for leader in inside:
                leader.waits_for.add(flight)
            return True

    def wait_no_more(self, flight: Flight, inside: frozenset[Flight]) -> None:
        """Ends a wait that `wait` allowed."""
        with self._lock:
            for leader in inside:
                leader.waits_for.discard(flight)

    def land(self, flight: Flight, landing: Landing) -> bool:
        """Ends a flight; returns whether it was still the one under way for its key."""
        with self._lock:
            self._alone.discard(flight)
            if self._under_way.get(flight.key) is not flight:
                return False
            del self._under_way[flight.key]
        flight.future.set_result(landing)
        return True

    def outdate_one(self, key: str) -> None:
        """Marks what is being computed for this key as outdated: it must not be kept."""
        if (flight := self._under_way.get(key)) is not None:
            flight.outdated = True
        for flight in tuple(self._alone):
            flight.outdated |= flight.key == key

    def outdate(self, prefix: str) -> None:
        """Marks what is being computed for keys with this prefix as outdated: it must not be kept."""
        with self._lock:
            # Copied in one step: the garbage collector may end a flight during an iteration.
            for flight in (*self._under_way.copy().values(), *self._alone):
                flight.outdated |= flight.key.startswith(prefix)

    def leased(self) -> list[tuple[str, str]]:
        """The keys and tokens of the flights that hold a lease."""
        with self._lock:
            held = [each for each in tuple(self._under_way.values()) if each.leased and not each.abandoned]
            return [(flight.key, flight.token) for flight in held]
