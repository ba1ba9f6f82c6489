"""What a replica does each second with what it has learned: counts the requested keys, computes ahead what is
due, and shares request rates with the other replicas through Redis.

Users' runs come first: nothing is computed ahead while the replica is busy, or once it is to stop.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from time import monotonic
from typing import Any, Final

import structlog
from langchain_core.runnables.config import var_child_runnable_config
from langgraph.runtime import Runtime
from langgraph.store.base import BaseStore

from lgs_runtime.cache.current import serves
from lgs_runtime.cache.manager import CacheManager
from lgs_runtime.cache.popularity import HotKey
from lgs_runtime.cache.refresh_context import RUNTIME

TURN_SECONDS: Final = 1.0
LATE_SECONDS: Final = 0.25
"""An event loop that is this many seconds late has no time for computations that nobody waits for."""
SHARE_SECONDS: Final = 10.0
MOST_SHARED: Final = 128
"""How many of its hot keys a replica reports each time."""
log = structlog.get_logger(__name__)


class Preloader:
    """Computes the values of one manager ahead; `turn` is called in the manager's event loop."""

    def __init__(
        self,
        manager: CacheManager,
        *,
        busy: Callable[[], bool] = lambda: False,
        store: BaseStore | None = None,
        followed: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`busy` returns whether users' runs occupy the replica; `store` is the store that functions computed
        ahead can use. `followed` is called before each such function, in its context, so that its calls of
        models are counted."""
        self._manager = manager
        self._busy = busy
        self._store = store
        self._followed = followed
        self._clock = clock
        self._turned_at = clock()
        self._shared_at = clock()
        manager.learner.begin()
        manager.memory.popular = manager.learner.popularity.counts.count

    async def turn(self) -> None:
        """Does the work of one second."""
        manager, learner, now = self._manager, self._manager.learner, self._clock()
        late = now - self._turned_at - TURN_SECONDS
        learner.count()
        learner.ahead = manager.refreshes_anew and late < LATE_SECONDS and not self._busy()
        if learner.ahead:
            for hot in learner.due(manager.memory.refresh_at):
                if not manager.may_refresh:
                    break
                self._begin(hot)
        for tuned in learner.tune():
            log.info(
                "cache.tuned", namespace=tuned.namespace, ttl_factor=round(tuned.ttl_factor, 2), why=tuned.why
            )
        if now - self._shared_at >= SHARE_SECONDS:
            self._shared_at = now
            manager.later(self._share())
        self._turned_at = self._clock()

    def _begin(self, hot: HotKey) -> None:
        context = _outside(self._manager, self._store)
        context.run(self._followed)
        if not hot.call.begin(hot.key, context):
            hot.call = None

    async def _share(self) -> None:
        popularity = self._manager.learner.popularity
        counts = popularity.take_unsent(MOST_SHARED)
        popularity.set_rates(await self._manager.rates(counts), self._clock())


def _outside(manager: CacheManager, store: BaseStore | None) -> Context:
    """The context of a call that no run made: it has the service's cache and store, and no user."""
    context = Context()
    context.run(serves, manager)
    runtime: Runtime[Any] = Runtime(store=store)
    context.run(var_child_runnable_config.set, {"configurable": {RUNTIME: runtime}})
    return context
