"""Which manager serves a call: the replica's, or, where there is no replica (as in an application's unit
tests), one for the process that caches in memory only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from typing import Final

from lgs_runtime.cache.manager import CacheManager
from lgs_runtime.forking import copied

_in_context: Final[ContextVar[CacheManager | None]] = ContextVar("cache_manager", default=None)
_of_replicas: Final[list[CacheManager]] = []
"""The managers of the open replicas of this process, newest last: for code that runs outside any replica's
context."""


def current() -> CacheManager:
    """The manager that serves the calling code."""
    found = _in_context.get()
    if found is not None and found in _of_replicas:
        return found
    return _of_replicas[-1] if _of_replicas else _of_process()


def is_of_a_replica(manager: CacheManager) -> bool:
    """Whether the manager belongs to an open replica, which then accounts for its failures."""
    return manager in _of_replicas


def serves(manager: CacheManager) -> None:
    """Makes this manager serve all code started from the current context."""
    _in_context.set(manager)


@contextmanager
def serving(manager: CacheManager) -> Iterator[CacheManager]:
    """Makes this manager serve the process, and all code started from the current context, until the replica
    closes."""
    serves(manager)
    _of_replicas.append(manager)
    try:
        yield manager
    finally:
        # This may run in another context than the one where the manager was set, so the list alone says which
        # managers are open.
        with suppress(ValueError):
            _of_replicas.remove(manager)


@cache
def _of_process() -> CacheManager:
    return CacheManager()


class _Managers:
    """Replaces the managers in a forked process, which has none of the replica's threads and connections:
    there they cache in memory only."""

    def begin_in_child(self) -> None:
        _of_process.cache_clear()
        _of_replicas[:] = [each.in_memory() for each in _of_replicas]


_MANAGERS: Final = _Managers()
copied(_MANAGERS)
