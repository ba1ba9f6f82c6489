"""The queue of services to reconcile, each at most once at a time. Events only add a key; reconciling looks
at the whole service.

A service that fails is tried again after a pause that doubles up to a minute, whatever the failure. An
unexpected error, or a lasting refusal of the API server, is passed to `crashed`, and concerns no other
service. A service that is added while it is being reconciled is reconciled once more. Namespaces take turns,
and none gets all of the workers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from lgs_operator.backoff import Backoff
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import ServiceKey
from lgs_operator.turns import Turns

log = structlog.get_logger(__name__)
BACKOFF = Backoff(first_seconds=0.5, longest_seconds=60.0)


class WorkQueue:
    """Runs the reconciliations. `reconcile` returns the seconds after which the service wants to come again,
    or None."""

    def __init__(
        self,
        reconcile: Callable[[ServiceKey], Awaitable[float | None]],
        crashed: Callable[[ServiceKey, Exception], Awaitable[None]],
        *,
        at_once: int = 8,
    ) -> None:
        self._reconcile = reconcile
        self._crashed = crashed
        self._at_once = at_once
        # A quarter of the workers is left for other namespaces, however much one has waiting.
        self._turns: Turns[ServiceKey] = Turns(at_once - at_once // 4)
        self._changed = asyncio.Event()
        self._waiting: set[ServiceKey] = set()
        self._busy: set[ServiceKey] = set()
        self._again: set[ServiceKey] = set()
        self._later: dict[ServiceKey, asyncio.TimerHandle] = {}
        self._failures: dict[ServiceKey, int] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, key: ServiceKey) -> None:
        """Makes the service due now."""
        later = self._later.pop(key, None)
        if later is not None:
            later.cancel()
        if key in self._busy:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._turns.put(key.namespace, key)
            self._changed.set()

    def add_after(self, key: ServiceKey, seconds: float) -> None:
        """Makes the service due after `seconds`, unless it is due sooner."""
        loop = asyncio.get_running_loop()
        before = self._later.get(key)
        if before is not None:
            if before.when() <= loop.time() + seconds:
                return
            before.cancel()
        self._later[key] = loop.call_later(seconds, self.add, key)

    def forget(self, key: ServiceKey) -> None:
        """Forgets a service that is gone: nothing is planned for it any more."""
        later = self._later.pop(key, None)
        if later is not None:
            later.cancel()
        self._failures.pop(key, None)

    async def run(self) -> None:
        """Reconciles due services until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._at_once):
                tasks.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self._next()
            self._waiting.discard(key)
            self._busy.add(key)
            try:
                await self._one(key)
            finally:
                self._busy.discard(key)
                self._turns.done(key.namespace)
                self._changed.set()
            if key in self._again:
                self._again.discard(key)
                self.add(key)

    async def _next(self) -> ServiceKey:
        while (taken := self._turns.take()) is None:
            self._changed.clear()
            await self._changed.wait()
        return taken[1]

    async def _one(self, key: ServiceKey) -> None:
        try:
            again = await self._reconcile(key)
        except KubeError as error:
            pause = self._pause(key)
            log.warning("reconcile.failed", service="/".join(key), error=str(error), retry=pause)
            if error.lasting:
                await self._crashed(key, error)
            self.add_after(key, pause)
            return
        except Exception as error:
            # An error at one service must not end the operator of all.
            pause = self._pause(key)
            log.exception("reconcile.crashed", service="/".join(key), retry=pause)
            await self._crashed(key, error)
            self.add_after(key, pause)
            return
        self._failures.pop(key, None)
        if again is not None:
            self.add_after(key, again)

    def _pause(self, key: ServiceKey) -> float:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        return BACKOFF.pause(failures)
