"""Calls of a cached function: where each result is kept, for how long, and how it is refreshed, either in the
background of the call that found it old or ahead of any call."""

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
"""Largest size in bytes of the arguments of a call that is remembered, to be repeated before its result
expires."""
inside_of: Final[ContextVar[frozenset[Flight]]] = ContextVar("cache_inside", default=frozenset())
"""The computations that this code runs inside of."""


class Work:
    """A cached function and its options."""

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
            # A nested function or a lambda: several may have this name.
            self.tell_by_code()

    def tell_by_code(self) -> None:
        """Makes the function's code part of its keys from now on: functions of one name share results only if
        their code is the same."""
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
        """Like `place`, but in a replica a call for which no key can be made is counted and logged, and this
        returns None, so that no run fails. Without a replica, as in an application's unit tests, it
        raises."""
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
        """Tells the replica how to recompute a value that may be requested again, if `preload` is on."""
        if self.preload:
            recall = partial(Recall.of, self, manager, *call)
            manager.learner.remember(place.key, life.fresh_seconds, recall)

    def size(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int:
        """The size of a call's arguments in bytes, in canonical form."""
        return len(self._arguments.key(args, kwargs))


class Names:
    """The cached functions without a `namespace` of their own, by name. A module may have several of one
    name, such as functions all called `_` that are passed to another decorator: they share no results."""

    def __init__(self) -> None:
        self._works: dict[str, WeakSet[Work]] = {}
        self._lock = threading.Lock()
        copied(self)

    def begin_in_child(self) -> None:
        """Called in a forked process, which has the same functions."""
        self._lock = threading.Lock()

    def add(self, work: Work) -> None:
        """Adds a function. A module that is reloaded adds the same functions again: those share results."""
        with self._lock:
            named = self._works.setdefault(work.name, WeakSet())
            named.add(work)
            if len({code_of(each.function) for each in named}) > 1:
                for each in named:
                    each.tell_by_code()


NAMES: Final = Names()


@dataclass(frozen=True, slots=True)
class Again:
    """The refresh of a value, in the background of the call that found it old or ahead of any call."""

    work: Work
    manager: CacheManager
    place: Place
    flight: Flight
    life: Life
    fresh: bool
    """Whether the old value is still fresh."""
    call: tuple[tuple[Any, ...], Mapping[str, Any]]

    def begin(self, context: Context | None = None) -> None:
        """Starts the refresh, by default in a copy of the current call's context, without its run."""
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
            # No thread could be started; the call that found the old value returns that.
            self.manager.refreshed(self.flight)

    async def computed(self) -> None:
        """Computes and keeps the value, unless another replica is computing it."""
        manager, (args, kwargs) = self.manager, self.call
        with manager.refreshing(self.place, self.flight, fresh=self.fresh):
            if await manager.claim_shared(self.place, self.flight):
                with computing(manager, self.flight, frozenset(), beside=True):
                    value = await self.work.function(*args, **kwargs)
                await manager.land(self.place, self.flight, value, self.life, anew=True)

    def computed_blocking(self) -> None:
        """Like `computed`, for a sync function, in a thread of its own."""
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
    """A call that the replica may repeat on its own."""

    work: Work
    manager: CacheManager
    call: tuple[tuple[Any, ...], Mapping[str, Any]]

    @classmethod
    def of(cls, work: Work, manager: CacheManager, *call: Any) -> Recall | None:
        """The call to remember; None if its arguments are too large."""
        args, kwargs = call
        return cls(work, manager, (args, kwargs)) if work.size(args, kwargs) <= MOST_ARGUMENT_BYTES else None

    def begin(self, key: str, context: Context) -> bool:
        """Starts to recompute the value; returns False if the call no longer has this key, since its caller
        may have changed the arguments."""
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
    """Whether this code runs inside the computation of this very value, and so must not wait for it."""
    return any(flight.key == place.key for flight in inside)


class computing:
    """Context of a flight's leader while it computes. An exception ends the flight, and is raised in all
    callers that wait. But if it concerns one run only, or the value is computed in the background (`beside`),
    one of those callers computes the value instead, in its own context."""

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
        # The garbage collector closes an abandoned task in an arbitrary context.
        with suppress(ValueError):
            inside_of.reset(self._token)
        if raised is not None:
            alone = self._beside or _is_of_one_run(raised)
            self._manager.fail(self._flight, None if alone else cast("Exception", raised))


def _is_of_one_run(raised: BaseException) -> bool:
    """Whether it is an interrupt, a cancellation or a drain, alone or in a group: it concerns one run only,
    so one of the callers that wait computes instead."""
    if isinstance(raised, BaseExceptionGroup):
        return any(map(_is_of_one_run, raised.exceptions))
    return isinstance(raised, GraphBubbleUp) or not isinstance(raised, Exception)
