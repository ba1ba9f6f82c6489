"""The calls of a function whose results are kept: where each result is, for how long, and how it is computed
anew beside the call that found it old, or before any call does.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import Context, ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast
from weakref import WeakSet

from langgraph.errors import GraphBubbleUp

from lgs_runtime.cache.current import is_of_a_replica
from lgs_runtime.cache.found import Life
from lgs_runtime.cache.keys import Arguments, UncacheableArgument, canonical, code_of
from lgs_runtime.cache.manager import CacheManager
from lgs_runtime.cache.place import Place
from lgs_runtime.cache.refresh_context import beside_the_call
from lgs_runtime.cache.single_flight import Flight
from lgs_runtime.forking import copied
from lgs_runtime.tracebacks import named_text

MOST_ARGUMENT_BYTES: Final = 4096
"""Of a call that is remembered, to be made again ahead of its result's end."""
inside_of: Final[ContextVar[frozenset[Flight]]] = ContextVar("cache_inside", default=frozenset())
"""The computations in the midst of which this code runs."""


class Work:
    """What is known of one function."""

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        *,
        arguments: Arguments,
        key: Callable[..., Any] | None,
        ttl: float | None,
        stale: float,
        per_user: bool,
        version: str,
        ttl_max: float | None,
        preload: bool,
    ) -> None:
        self.function = function
        self.name = name
        self._arguments = arguments
        self._key = key
        self._ttl = ttl
        self._stale = stale
        self._per_user = per_user
        self._version = version
        self._ttl_max = ttl_max
        if ttl is not None and ttl_max is not None and ttl_max < ttl:
            raise ValueError(f"{name}: ttl_max: {ttl_max:g}: must be at least ttl, which is {ttl:g}")
        self.preload = preload
        self.is_async = inspect.iscoroutinefunction(function)
        self._code: tuple[bytes, ...] = ()
        if "<" in name:
            # Within another function, or without a name, several may be called so.
            self.tell_by_code()

    def tell_by_code(self) -> None:
        """From here on its keys are those of a function that does what this one does."""
        self._code = (code_of(self.function),)

    def place(self, manager: CacheManager, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Place:
        """Where the result of a call is kept. Raises `UncacheableArgument`."""
        if self._key is None:
            call = self._arguments.key(args, kwargs)
        else:
            call = canonical(self._made_by_key(self._key, args, kwargs), self.name)
        whose = canonical(manager.user(), self.name) if self._per_user else b""
        return manager.place(self.name, self._version, whose, call, *self._code)

    def _made_by_key(self, key: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        try:
            return key(*args, **kwargs)
        except Exception as raised:
            words = f"{self.name}: its key function raised {named_text(raised)}"
            raise UncacheableArgument(words) from raised

    def place_of_call(
        self, manager: CacheManager, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Place | None:
        """As `place`. In a replica a call that makes no key is counted and logged, and this returns None:
        no run fails for it. Without one, as in the unit tests of an application, it raises."""
        try:
            return self.place(manager, args, kwargs)
        except UncacheableArgument as refused:
            if not is_of_a_replica(manager):
                raise
            manager.statistics.failed(self.name, "cache.no_key", str(refused))
            return None

    def life(self, manager: CacheManager) -> Life:
        """How long a result is kept."""
        ttl = manager.ttl_seconds if self._ttl is None else self._ttl
        if self._ttl_max is not None:
            ttl = manager.learner.ttl(self.name, ttl, max(ttl, self._ttl_max))
        return Life(ttl, self._stale, ahead=True)

    def remember(self, manager: CacheManager, place: Place, life: Life, *call: Any) -> None:
        """Leaves with the replica how a value is computed that may be wanted again."""
        if self.preload:
            recall = partial(Recall.of, self, manager, *call)
            manager.learner.remember(place.key, life.fresh_seconds, recall)

    def size(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int:
        """The bytes of a call's arguments."""
        return len(self._arguments.key(args, kwargs))


class Names:
    """The functions whose results are kept under their own names. A module may have several of one name, such
    as those that another decorator is given one after the other, all called `_`: they share no results."""

    def __init__(self) -> None:
        self._works: dict[str, WeakSet[Work]] = {}
        self._lock = threading.Lock()
        copied(self)

    def begin_in_child(self) -> None:
        """A copy of this process has the same functions."""
        self._lock = threading.Lock()

    def add(self, work: Work) -> None:
        """One more. A module that is loaded anew has the same ones once more, which share results."""
        with self._lock:
            named = self._works.setdefault(work.name, WeakSet())
            named.add(work)
            if len({code_of(each.function) for each in named}) > 1:
                for each in named:
                    each.tell_by_code()


NAMES: Final = Names()


@dataclass(frozen=True, slots=True)
class Again:
    """A value that is computed anew beside the call that found it old, or before any call does."""

    work: Work
    manager: CacheManager
    place: Place
    flight: Flight
    life: Life
    fresh: bool
    """Whether the old value still is."""
    call: tuple[tuple[Any, ...], Mapping[str, Any]]

    def begin(self, context: Context | None = None) -> None:
        """Begins it, by default in the context of the call that runs now."""
        context = context or beside_the_call()
        if self.work.is_async:
            task = asyncio.create_task(self.computed(), context=context)
            self.flight.loop, self.flight.owner = task.get_loop(), task
            task.add_done_callback(lambda _: self.manager.refreshed(self.flight))
            self.manager.keep_alive(task)
            return
        compute = partial(context.run, self.computed_blocking)
        try:
            threading.Thread(target=compute, name="cache-refresh", daemon=True).start()
        except RuntimeError:
            # No thread to be had: the call that found the old value has it.
            self.manager.refreshed(self.flight)

    async def computed(self) -> None:
        """Computes and keeps it, unless another replica does."""
        manager, (args, kwargs) = self.manager, self.call
        with manager.refreshing(self.place, self.flight, fresh=self.fresh):
            if await manager.claim_shared(self.place, self.flight):
                with computing(manager, self.flight, frozenset(), beside=True):
                    value = await self.work.function(*args, **kwargs)
                await manager.land(self.place, self.flight, value, self.life, anew=True)

    def computed_blocking(self) -> None:
        """As `computed`, in a thread."""
        manager, (args, kwargs) = self.manager, self.call
        try:
            with manager.refreshing(self.place, self.flight, fresh=self.fresh):
                if manager.claim_shared_blocking(self.place, self.flight):
                    with computing(manager, self.flight, frozenset(), beside=True):
                        value = self.work.function(*args, **kwargs)
                    manager.land_blocking(self.place, self.flight, value, self.life, anew=True)
        finally:
            manager.refreshed(self.flight)


@dataclass(frozen=True, slots=True)
class Recall:
    """A call that the replica may make again by itself."""

    work: Work
    manager: CacheManager
    call: tuple[tuple[Any, ...], Mapping[str, Any]]

    @classmethod
    def of(cls, work: Work, manager: CacheManager, *call: Any) -> Recall | None:
        """None where its arguments are too large to be remembered."""
        args, kwargs = call
        return cls(work, manager, (args, kwargs)) if work.size(args, kwargs) <= MOST_ARGUMENT_BYTES else None

    def begin(self, key: str, context: Context) -> bool:
        """Computes the value anew, unless its arguments have been changed since: they may be anybody's."""
        try:
            place = self.work.place(self.manager, *self.call)
        except TypeError:
            return False
        if place.key != key:
            return False
        life = self.work.life(self.manager)
        if (flight := self.manager.claim(place, life, fresh=True)) is not None:
            Again(self.work, self.manager, place, flight, life, True, self.call).begin(context)
        return True


def computes(place: Place, inside: frozenset[Flight]) -> bool:
    """Whether this code runs in the midst of computing this very value: it must not wait for itself."""
    return any(flight.key == place.key for flight in inside)


class computing:
    """While the leader of a flight computes. What it raises ends the flight, and is raised in who waits;
    unless it was computed `beside` the calls: then one of them goes on, in a context of its own."""

    def __init__(
        self, manager: CacheManager, flight: Flight, inside: frozenset[Flight], *, beside: bool = False
    ) -> None:
        self._beside = beside
        self._manager = manager
        self._flight = flight
        self._inside = inside

    def __enter__(self) -> None:
        self._token = inside_of.set(self._inside | {self._flight})

    def __exit__(self, kind: object, raised: BaseException | None, traceback: object) -> None:
        # A task that is left behind is closed by the garbage collector, in whichever context.
        with suppress(ValueError):
            inside_of.reset(self._token)
        if raised is not None:
            alone = self._beside or _is_of_one_run(raised)
            self._manager.fail(self._flight, None if alone else cast("Exception", raised))


def _is_of_one_run(raised: BaseException) -> bool:
    """Whether it is an interrupt, a cancellation or a drain, by itself or among others: of those who wait one
    goes on."""
    if isinstance(raised, BaseExceptionGroup):
        return any(map(_is_of_one_run, raised.exceptions))
    return isinstance(raised, GraphBubbleUp) or not isinstance(raised, Exception)
