"""`@cached`: the results of a function, sync or async, kept for a while, computed once however many ask.

In a replica they are kept in its memory and in Redis, where the other replicas find them; elsewhere, as in
the unit tests of an application, in the memory of the process.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Collection, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from functools import partial, wraps
from math import isfinite
from typing import Any, Final, ParamSpec, Protocol, TypeVar, cast

from langgraph.errors import GraphBubbleUp

from lgs_runtime.cache.beside import beside_the_call
from lgs_runtime.cache.current import current
from lgs_runtime.cache.flights import Flight
from lgs_runtime.cache.keys import Arguments, canonical
from lgs_runtime.cache.manager import CacheManager
from lgs_runtime.cache.values import Found, Life, Place

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")
Seconds = float | timedelta
_inside: Final[ContextVar[frozenset[Flight]]] = ContextVar("cache_inside", default=frozenset())
"""The computations in the midst of which this code runs."""


class CachedFunction(Protocol[P, R_co]):
    """A function whose results are kept."""

    __name__: str
    __wrapped__: Callable[..., Any]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """The result, kept or computed."""

    def __get__(self, instance: object, owner: type | None = None) -> Callable[..., R_co]:
        """The method, where the function is one."""

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Forgets the result for these arguments, in all replicas; whether there was one. To be awaited if
        the function is async."""

    def clear(self) -> Any:
        """Forgets all its results, in all replicas; how many there were. To be awaited if the function is
        async."""


def cached(
    ttl: Seconds | None = None,
    *,
    key: Callable[..., Any] | None = None,
    ignore: Collection[str] = (),
    stale: Seconds = 0.0,
    per_user: bool = False,
    namespace: str | None = None,
    version: str = "",
) -> Callable[[Callable[P, R]], CachedFunction[P, R]]:
    """Keeps the results of a function for `ttl` seconds (the service's `cache.ttlSeconds` if not given).

    The key of a call is made of all its arguments; `key` is called with them instead and returns what tells
    calls apart, or `ignore` names parameters that don't matter. For `stale` seconds after its time an old
    result is still answered, while one call computes it anew beside. With `per_user` each user of the service
    has results of their own. `namespace` (the function's module and name) is where the results are counted
    and kept; a change of `version` leaves old results behind.

    Whatever a function returns is kept, `None` too; what it raises is not, but is raised in all that waited.

    Raises `ValueError` for a number that can't be one of seconds, `TypeError` for a function that can't be
    cached; a call raises `UncacheableArgument` for an argument from which no key can be made.
    """

    if callable(ttl):
        raise TypeError(f"cached: {ttl!r}: must be called itself: write @cached() or @cached(ttl=...)")

    def decorate(function: Callable[P, R]) -> CachedFunction[P, R]:
        name = namespace or f"{function.__module__}.{function.__qualname__}"
        _check(function, name, named=namespace is not None)
        work = _Work(
            function,
            name,
            arguments=Arguments(function, name, ignore),
            key=key,
            ttl=None if ttl is None else _seconds(name, "ttl", ttl, above=True),
            stale=_seconds(name, "stale", stale, above=False),
            per_user=per_user,
            version=version,
        )
        wrapped = _async(work) if inspect.iscoroutinefunction(function) else _sync(work)
        return cast("CachedFunction[P, R]", wrapped)

    return decorate


class _Work:
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
    ) -> None:
        self.function = function
        self.name = name
        self._arguments = arguments
        self._key = key
        self._ttl = ttl
        self._stale = stale
        self._per_user = per_user
        self._version = version

    def place(self, manager: CacheManager, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Place:
        """Where the result of a call is kept. Raises `UncacheableArgument`."""
        if self._key is None:
            call = self._arguments.key(args, kwargs)
        else:
            call = canonical(self._key(*args, **kwargs), self.name)
        whose = canonical(manager.user(), self.name) if self._per_user else b""
        return manager.place(self.name, self._version, whose, call)

    def life(self, manager: CacheManager) -> Life:
        """How long a result is kept."""
        return Life(manager.ttl_seconds if self._ttl is None else self._ttl, self._stale)


def _async(work: _Work) -> Any:
    @wraps(work.function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        manager = current()
        place, life, inside = work.place(manager, args, kwargs), work.life(manager), _inside.get()
        found: Found | Flight | None = manager.peek(place)
        if found is None and not _computes(place, inside):
            found = await manager.enter(place, life, inside)
        if isinstance(found, Found):
            if not found.fresh and (flight := manager.claim(place)) is not None:
                again = _Again(work, manager, place, flight, life, (args, kwargs))
                task = asyncio.create_task(again.computed(), context=beside_the_call())
                task.add_done_callback(lambda _: manager.fail(flight))
                manager.keep_alive(task)
            return found.value
        if found is None:
            return await work.function(*args, **kwargs)
        with _computing(manager, found, inside):
            value = await work.function(*args, **kwargs)
        await manager.land(place, found, value, life)
        return value

    async def invalidate(*args: Any, **kwargs: Any) -> bool:
        manager = current()
        return await manager.forget(work.place(manager, args, kwargs))

    async def clear() -> int:
        return await current().clear(work.name)

    return _with(call, invalidate, clear)


def _sync(work: _Work) -> Any:
    @wraps(work.function)
    def call(*args: Any, **kwargs: Any) -> Any:
        manager = current()
        place, life, inside = work.place(manager, args, kwargs), work.life(manager), _inside.get()
        found: Found | Flight | None = manager.peek(place)
        if found is None and not _computes(place, inside):
            found = manager.enter_blocking(place, life, inside)
        if isinstance(found, Found):
            if not found.fresh and (flight := manager.claim(place)) is not None:
                again = _Again(work, manager, place, flight, life, (args, kwargs))
                compute = partial(beside_the_call().run, again.computed_blocking)
                threading.Thread(target=compute, name="cache-refresh", daemon=True).start()
            return found.value
        if found is None:
            return work.function(*args, **kwargs)
        with _computing(manager, found, inside):
            value = work.function(*args, **kwargs)
        manager.land_blocking(place, found, value, life)
        return value

    def invalidate(*args: Any, **kwargs: Any) -> bool:
        manager = current()
        return manager.forget_blocking(work.place(manager, args, kwargs))

    def clear() -> int:
        return current().clear_blocking(work.name)

    return _with(call, invalidate, clear)


@dataclass(frozen=True, slots=True)
class _Again:
    """A value that is computed anew beside the call that found it old."""

    work: _Work
    manager: CacheManager
    place: Place
    flight: Flight
    life: Life
    call: tuple[tuple[Any, ...], Mapping[str, Any]]

    async def computed(self) -> None:
        """Computes and keeps it, unless another replica does."""
        manager, (args, kwargs) = self.manager, self.call
        with manager.refreshing(self.place, self.flight):
            if await manager.claim_shared(self.place, self.flight):
                with _computing(manager, self.flight, frozenset()):
                    value = await self.work.function(*args, **kwargs)
                await manager.land(self.place, self.flight, value, self.life, anew=True)

    def computed_blocking(self) -> None:
        """As `computed`, in a thread."""
        manager, (args, kwargs) = self.manager, self.call
        with manager.refreshing(self.place, self.flight):
            if manager.claim_shared_blocking(self.place, self.flight):
                with _computing(manager, self.flight, frozenset()):
                    value = self.work.function(*args, **kwargs)
                manager.land_blocking(self.place, self.flight, value, self.life, anew=True)


def _computes(place: Place, inside: frozenset[Flight]) -> bool:
    """Whether this code runs in the midst of computing this very value: it must not wait for itself."""
    return any(flight.key == place.key for flight in inside)


class _computing:
    """While the leader of a flight computes. What it raises ends the flight."""

    def __init__(self, manager: CacheManager, flight: Flight, inside: frozenset[Flight]) -> None:
        self._manager = manager
        self._flight = flight
        self._inside = inside

    def __enter__(self) -> None:
        self._token = _inside.set(self._inside | {self._flight})

    def __exit__(self, kind: object, raised: BaseException | None, traceback: object) -> None:
        _inside.reset(self._token)
        if raised is not None:
            # An interrupt, a cancellation or a drain is this run's alone: one of those who wait goes on.
            alone = isinstance(raised, GraphBubbleUp) or not isinstance(raised, Exception)
            self._manager.fail(self._flight, None if alone else cast("Exception", raised))


def _with(call: Any, invalidate: Callable[..., Any], clear: Callable[..., Any]) -> Any:
    call.invalidate, call.clear = invalidate, clear
    return call


def _seconds(name: str, what: str, given: Any, *, above: bool) -> float:
    seconds = given.total_seconds() if isinstance(given, timedelta) else given
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not isfinite(seconds) or seconds < 0 or (above and seconds == 0):
        rule = "more than 0" if above else "0 or more"
        raise ValueError(f"{name}: {what}: {given!r}: must be a number of seconds, {rule}")
    return float(seconds)


def _check(function: Any, name: str, *, named: bool) -> None:
    """Raises `TypeError` for what can't be cached."""
    if not inspect.isfunction(function):
        raise TypeError(f"{name}: a {type(function).__name__}: must be a function")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{name}: yields: must be a function that returns; a stream can't be kept")
    free = [variable for variable in function.__code__.co_freevars if variable != "__class__"]
    if free and not named:
        raise TypeError(
            f"{name}: uses {', '.join(free)} of the function around it, which no key would tell: make it an "
            'argument, or say with namespace="..." that its results don\'t depend on it'
        )
