"""`@cached`: keeps the results of a function, sync or async, for a while. Concurrent calls compute a result
once.

In a replica, results are kept in its memory and in Redis, where the other replicas find them; elsewhere, as
in an application's unit tests, in the memory of the process.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from functools import wraps
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from lgs_runtime.cache import options
from lgs_runtime.cache.calls import NAMES, Again, Work, computes, computing, inside_of
from lgs_runtime.cache.current import current
from lgs_runtime.cache.found import Found
from lgs_runtime.cache.keys import Arguments
from lgs_runtime.cache.options import Seconds
from lgs_runtime.cache.single_flight import Flight

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")


class CachedFunction(Protocol[P, R_co]):
    """A function whose results are cached."""

    __name__: str
    __wrapped__: Callable[..., Any]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """The result, from the cache or computed."""

    def __get__(self, instance: object, owner: type | None = None) -> Callable[..., R_co]:
        """The bound method, if the function is a method of a class."""

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Deletes the result for these arguments in all replicas; returns whether there was one. Must be
        awaited if the function is async."""

    def clear(self) -> Any:
        """Deletes all results of the function in all replicas; returns how many there were. Must be awaited
        if the function is async."""


def cached(
    ttl: Seconds | None = None,
    *,
    key: Callable[..., Any] | None = None,
    ignore: Collection[str] = (),
    stale: Seconds = 0.0,
    per_user: bool = False,
    namespace: str | None = None,
    version: str = "",
    ttl_max: Seconds | None = None,
    preload: bool = False,
) -> Callable[[Callable[P, R]], CachedFunction[P, R]]:
    """Keeps the results of a function for `ttl` seconds (the service's `cache.ttlSeconds` if not given).

    The key of a call is made of all its arguments. `key`, if given, is called with them and returns what
    distinguishes calls; or `ignore` names parameters that don't matter. For `stale` seconds after it expired,
    an old result is still returned while one call recomputes it in the background. With `per_user`, each user
    of the service has their own results. Results are counted and kept under `namespace` (default: the
    function's module and name); a change of `version` leaves old results behind. Results live up to `ttl_max`
    seconds while that restores a hit rate that fell. With `preload`, the replica calls the function on its
    own, outside of any run, before a result expires that is likely to be requested again: so the function
    must need nothing but its arguments.

    Whatever a function returns is kept, `None` too. An exception is not kept, but is raised in all callers
    that waited.

    Raises `ValueError` and `TypeError` for options that can't work, worded `function: name: value: rule`. If
    no key can be made from an argument, a call raises `UncacheableArgument` outside of a replica; in a
    replica this is counted and logged, and the result is computed without the cache.
    """

    if callable(ttl):
        raise TypeError(f"cached: {ttl!r}: must be called itself: write @cached() or @cached(ttl=...)")

    def decorate(function: Callable[P, R]) -> CachedFunction[P, R]:
        name = options.check_function(function, namespace)
        options.check_key(name, key, ignore)
        options.check_text(name, "version", version)
        for what, given in (("per_user", per_user), ("preload", preload)):
            options.check_switch(name, what, given)
        if preload and (per_user or key is not None or ignore):
            raise TypeError(
                f"{name}: preload: {preload}: must be off with per_user, key and ignore: the replica calls "
                "it for nobody, with the arguments that make the key"
            )
        work = Work(
            function,
            name,
            arguments=Arguments(function, name, ignore),
            key=key,
            ttl=None if ttl is None else options.seconds(name, "ttl", ttl, above=True),
            stale=options.seconds(name, "stale", stale, above=False),
            per_user=per_user,
            version=version,
            ttl_max=None if ttl_max is None else options.seconds(name, "ttl_max", ttl_max, above=True),
            preload=preload,
        )
        if namespace is None:
            NAMES.add(work)
        wrapped = _async(work) if inspect.iscoroutinefunction(function) else _sync(work)
        return cast("CachedFunction[P, R]", wrapped)

    return decorate


def _async(work: Work) -> Any:
    @wraps(work.function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        manager = current()
        if (place := work.place_of_call(manager, args, kwargs)) is None:
            return await work.function(*args, **kwargs)
        life, inside = work.life(manager), inside_of.get()
        found: Found | Flight | None = manager.peek(place)
        if found is None and not computes(place, inside):
            found = await manager.enter(place, life, inside)
        if isinstance(found, Found):
            if found.due and (flight := manager.claim(place, life, fresh=found.fresh)) is not None:
                Again(work, manager, place, flight, life, found.fresh, (args, kwargs)).begin()
            work.remember(manager, place, life, args, kwargs)
            return found.value
        if found is None:
            return await work.function(*args, **kwargs)
        with computing(manager, found, inside):
            value = await work.function(*args, **kwargs)
        await manager.land(place, found, value, life)
        return value

    async def invalidate(*args: Any, **kwargs: Any) -> bool:
        manager = current()
        return await manager.forget(work.place(manager, args, kwargs))

    async def clear() -> int:
        return await current().clear(work.name)

    return _with(call, invalidate, clear)


def _sync(work: Work) -> Any:
    @wraps(work.function)
    def call(*args: Any, **kwargs: Any) -> Any:
        manager = current()
        if (place := work.place_of_call(manager, args, kwargs)) is None:
            return work.function(*args, **kwargs)
        life, inside = work.life(manager), inside_of.get()
        found: Found | Flight | None = manager.peek(place)
        if found is None and not computes(place, inside):
            found = manager.enter_blocking(place, life, inside)
        if isinstance(found, Found):
            if found.due and (flight := manager.claim(place, life, fresh=found.fresh)) is not None:
                Again(work, manager, place, flight, life, found.fresh, (args, kwargs)).begin()
            work.remember(manager, place, life, args, kwargs)
            return found.value
        if found is None:
            return work.function(*args, **kwargs)
        with computing(manager, found, inside):
            value = work.function(*args, **kwargs)
        manager.land_blocking(place, found, value, life)
        return value

    def invalidate(*args: Any, **kwargs: Any) -> bool:
        manager = current()
        return manager.forget_blocking(work.place(manager, args, kwargs))

    def clear() -> int:
        return current().clear_blocking(work.name)

    return _with(call, invalidate, clear)


def _with(call: Any, invalidate: Callable[..., Any], clear: Callable[..., Any]) -> Any:
    call.invalidate, call.clear = invalidate, clear
    return call
