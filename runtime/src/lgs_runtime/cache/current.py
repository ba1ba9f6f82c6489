"""Which manager serves a call: that of the replica, or one of the process, in memory alone, where there is no
replica, as in the unit tests of an application."""

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
"""Of the replicas of this process that are open, the latest last: for code that runs in no context of one."""


def current() -> CacheManager:
    """The manager for who asks."""
    found = _in_context.get()
    if found is not None and found in _of_replicas:
        return found
    return _of_replicas[-1] if _of_replicas else _of_process()


def is_of_a_replica(manager: CacheManager) -> bool:
    """Whether a replica answers for what fails in it."""
    return manager in _of_replicas


def serves(manager: CacheManager) -> None:
    """This manager serves all that is begun in this context."""
    _in_context.set(manager)


@contextmanager
def serving(manager: CacheManager) -> Iterator[CacheManager]:
    """This manager serves the process, and all that is begun in this context, until the replica closes."""
    serves(manager)
    _of_replicas.append(manager)
    try:
        yield manager
    finally:
        # The context may be another here than the one that it was set in: who is not in the list is over.
        with suppress(ValueError):
            _of_replicas.remove(manager)


@cache
def _of_process() -> CacheManager:
    return CacheManager()


class _Managers:
    """A process that a replica is copied to has none of its threads and connections: what is cached there is
    in memory alone."""

    def begin_in_child(self) -> None:
        _of_process.cache_clear()
        _of_replicas[:] = [each.in_memory() for each in _of_replicas]


_MANAGERS: Final = _Managers()
copied(_MANAGERS)
