"""The one manager behind every cache of a replica: LangGraph's node policies and `@cached` functions.

A missing value is computed by one caller at a time, in this replica and across replicas; the others wait for
it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager, suppress
from math import inf
from typing import Any, Final, Literal

from lgs_runtime.cache.found import Found, Life
from lgs_runtime.cache.loop import on_a_loop
from lgs_runtime.cache.place import Place
from lgs_runtime.cache.shared import Change, Stored, Written
from lgs_runtime.cache.single_flight import Failed, Flight, Landing, Without
from lgs_runtime.cache.values import Values
from lgs_runtime.event_loop import EXITS
from lgs_runtime.tracebacks import named_text

FOLLOW_SECONDS: Final = 60.0
"""How many seconds a caller waits for another's computation at most, before it computes, and keeps, the value
itself."""
Again = Literal[Without.AGAIN]
POLL_SECONDS: Final = (0.02, 0.25)
"""Bounds in seconds of the pause between two checks whether another replica is done: a tenth of the time that
it has taken so far, within these bounds."""
MOST_REFRESHES: Final = 8
"""How many values may be computed in the background at a time."""
FAILED_SECONDS: Final = 1.0
"""How many seconds to wait after a failed refresh before the next one."""


class CacheManager(Values):
    """The values of a cache, and who computes each."""

    def __init__(self, *values: Any, **options: Any) -> None:
        """Takes the arguments of `Values`."""
        super().__init__(*values, **options)
        self._refreshing: set[Flight] = set()

    async def enter(self, place: Place, life: Life, inside: frozenset[Flight]) -> Found | Flight | None:
        """The cached value, or a flight that the caller leads: it must compute the value, then `land` or
        `fail` the flight. None: the caller computes on its own, and lands nothing. `inside`: the flights that
        the caller is part of.

        Raises what the computation raised that the caller waited for.
        """
        give_up_at = time.monotonic() + FOLLOW_SECONDS
        while True:
            if (found := self.peek(place)) is not None:
                return found
            flight, leads = self.flights.join(place.key)
            if leads:
                flight.loop = asyncio.get_running_loop()
                with self._leading(flight):
                    return self._come(place, flight) or await self.on_loop(self._lead(place, flight, life))
            if self._given_up(place, flight):
                continue
            left = _left(flight, give_up_at)
            if left <= 0 or not self.flights.wait(flight, inside):
                self._missed(place)
                return self.flights.alone(place.key) if left <= 0 else None
            with self._waiting(place, flight, inside):
                landed = asyncio.wrap_future(flight.future)
                await asyncio.wait({landed}, timeout=left)
            if landed.done() and (result := self._result(place, landed.result())) is not Without.AGAIN:
                return result

    def enter_blocking(self, place: Place, life: Life, inside: frozenset[Flight]) -> Found | Flight | None:
        """Like `enter`, called from a thread. On an event loop's own thread nothing is waited for."""
        give_up_at = time.monotonic() + FOLLOW_SECONDS
        may_wait = not on_a_loop()
        while True:
            if (found := self.peek(place)) is not None:
                return found
            flight, leads = self.flights.join(place.key)
            if leads:
                with self._leading(flight):
                    come = self._come(place, flight)
                    return come or self._lead_blocking(place, flight, life, may_wait=may_wait)
            if self._given_up(place, flight):
                continue
            left = _left(flight, give_up_at)
            if not may_wait or left <= 0 or not self.flights.wait(flight, inside):
                self._missed(place)
                return self.flights.alone(place.key) if may_wait and left <= 0 else None
            with self._waiting(place, flight, inside):
                futures.wait({flight.future}, left)
            if flight.future.done():
                # Not by the future's timeout: the computation may raise a `TimeoutError` of its own.
                result = self._result(place, flight.future.result())
                if result is not Without.AGAIN:
                    return result

    async def land(self, place: Place, flight: Flight, value: Any, life: Life, *, anew: bool = False) -> None:
        """Keeps the value that a flight's leader has computed. `anew`: it replaces an older one, which other
        replicas may have."""
        written = self._keep(place, flight, value, life)
        if written is not None:
            await self.on_loop(self._share(flight, written, anew=anew))

    def land_blocking(
        self, place: Place, flight: Flight, value: Any, life: Life, *, anew: bool = False
    ) -> None:
        """Like `land`, called from a thread. On an event loop's own thread, Redis gets the value later."""
        written = self._keep(place, flight, value, life)
        if written is not None:
            self.blocking(self._share(flight, written, anew=anew))

    def fail(self, flight: Flight, raised: Exception | None = None) -> None:
        """Ends a flight whose leader has no value. `raised`: the exception, if all who wait would get the
        same; without it, one of them computes the value."""
        if self.flights.land(flight, Without.AGAIN if raised is None else Failed.now(raised)):
            self._release(flight)

    @property
    def may_refresh(self) -> bool:
        """Whether one more value may be computed in the background."""
        if len(self._refreshing) >= MOST_REFRESHES:
            for left in [each for each in tuple(self._refreshing) if each.abandoned]:
                left.outdated = True
                self.refreshed(left)
        return self.refreshes_anew and len(self._refreshing) < MOST_REFRESHES

    def claim(self, place: Place, life: Life, *, fresh: bool) -> Flight | None:
        """A flight to recompute a value in the background. None if that is under way already, if enough
        others are, or if it is not worth it for a value that is still `fresh`. The caller must call
        `refreshed` with the flight, whatever comes of it."""
        if not self.may_refresh or self.flights.of(place.key):
            return None
        if fresh and not self.learner.may_refresh(place.key, life.fresh_seconds):
            return None
        flight, leads = self.flights.join(place.key)
        if not leads:
            return None
        flight.beside = True
        self._refreshing.add(flight)
        return flight

    def refreshed(self, flight: Flight) -> None:
        """Ends a refresh, whether or not it gave a value."""
        self._refreshing.discard(flight)
        self.fail(flight)

    async def claim_shared(self, place: Place, flight: Flight) -> bool:
        """Whether this replica may recompute the value: no other one does."""
        leased = await self.on_loop(self._lease(place, flight))
        if leased is False:
            self.fail(flight)
        return leased is not False

    def claim_shared_blocking(self, place: Place, flight: Flight) -> bool:
        """Like `claim_shared`, called from a thread."""
        leased = self.blocking(self._lease(place, flight))
        if leased is False:
            self.fail(flight)
        return leased is not False

    @contextmanager
    def refreshing(self, place: Place, flight: Flight, *, fresh: bool) -> Iterator[None]:
        """Context of a computation in the background. An exception is counted and not raised: the old value
        is still there."""
        try:
            yield
        # The function is the application's, and nobody waits for it.
        except (Exception, *EXITS) as failed:  # noqa: BLE001
            self.fail(flight)
            self.memory.postpone(place.key, FAILED_SECONDS)
            self.statistics.failed(place.namespace, "cache.refresh_failed", named_text(failed))
        else:
            counts = self.statistics.of(place.namespace)
            counts.refreshes += 1
            counts.ahead += fresh

    async def _lease(self, place: Place, flight: Flight) -> bool | None:
        if self._replicas is None:
            return None
        leased = await self._replicas.ask_leased(
            flight, lambda shared: shared.lease(place.key, flight.token, self._lease_seconds)
        )
        if leased:
            self._replicas.leased(flight)
        return leased

    async def _lead(self, place: Place, flight: Flight, life: Life) -> Found | Flight:
        """Looks in Redis before the leader computes: another replica may have the value, or be computing
        it."""
        began, waits = time.monotonic(), False
        with self._leading(flight):
            while self._replicas is not None:
                before, flight.outdated = self._replicas.state, False
                answer = await self._replicas.ask_leased(
                    flight, lambda shared: shared.read_or_lease(place.key, flight.token, self._lease_seconds)
                )
                if isinstance(answer, Stored):
                    if flight.outdated:
                        # The value was deleted meanwhile, and callers that came since then wait here too.
                        continue
                    if (found := self._taken(place, answer, life, before)) is None:
                        break
                    self.flights.land(flight, answer.raw)
                    return found
                waited = time.monotonic() - began
                if answer:
                    self._replicas.leased(flight)
                if answer is not False or waited > FOLLOW_SECONDS:
                    break
                self.statistics.of(place.namespace).waits += not waits
                waits = True
                await asyncio.sleep(min(max(waited / 10, POLL_SECONDS[0]), POLL_SECONDS[1]))
        self._missed(place)
        return flight

    def _come(self, place: Place, flight: Flight) -> Found | None:
        """The value that the previous flight of the key left in memory just as this one began; if there is
        one, this flight ends."""
        if (found := self.peek(place)) is not None:
            self.fail(flight)
        return found

    def _lead_blocking(self, place: Place, flight: Flight, life: Life, *, may_wait: bool) -> Found | Flight:
        if self.loop is None or not may_wait:
            self._missed(place)
            return flight
        found = self.blocking(self._lead(place, flight, life))
        return flight if found is None else found

    def _keep(self, place: Place, flight: Flight, value: Any, life: Life) -> Written | None:
        """Ends a flight with its value, and keeps that in memory; returns what to write to Redis."""
        written = None if flight.outdated else self._encoded(place, value, life)
        if written is not None:
            counts = self.statistics.of(place.namespace)
            counts.computed_seconds += time.monotonic() - flight.began
        landing: Landing = Without.ALONE if written is None else written.raw
        if not self.flights.land(flight, landing) or written is None:
            self._release(flight)
        return written

    async def _share(self, flight: Flight, written: Written, *, anew: bool) -> None:
        if not flight.leased or self._replicas is None:
            await self._ask(lambda shared: shared.write([written]))
        elif (
            await self._replicas.ask_leased(flight, lambda shared: shared.write_leased(written, flight.token))
            is False
        ):
            # The value was invalidated, or the lease expired: Redis has another's value, or none.
            self.memory.forget([written.key])
            return
        if anew:
            await self._ask(lambda shared: shared.announce(Change(key=written.key)))

    def _release(self, flight: Flight) -> None:
        if flight.leased and self._replicas is not None:
            self.later(self._replicas.release(flight))

    @contextmanager
    def _waiting(self, place: Place, flight: Flight, inside: frozenset[Flight]) -> Iterator[None]:
        self.statistics.of(place.namespace).waits += 1
        try:
            yield
        finally:
            self.flights.wait_no_more(flight, inside)

    @contextmanager
    def _leading(self, flight: Flight) -> Iterator[None]:
        """Context in which a flight's leader finds out whether to compute: an exception ends the flight."""
        try:
            yield
        except BaseException:
            self.fail(flight)
            raise

    def _given_up(self, place: Place, flight: Flight) -> bool:
        """Whether a computation in the background takes so long that a caller should compute the value
        instead: nobody waits for it, so it could hang for ever. Ends its flight and cancels its task."""
        if not flight.beside or _left(flight, inf) > 0:
            return False
        flight.outdated = True
        if isinstance(flight.owner, asyncio.Task) and flight.loop is not None:
            with suppress(RuntimeError):  # The loop is closed by now.
                flight.loop.call_soon_threadsafe(flight.owner.cancel)
        reason = f"it was not there within {FOLLOW_SECONDS:g} s"
        self.statistics.failed(place.namespace, "cache.refresh_given_up", reason)
        self.fail(flight)
        return True

    def _result(self, place: Place, landing: Landing) -> Found | Again | None:
        """The outcome of a flight that was waited for. Raises what the computation raised."""
        if isinstance(landing, Failed):
            raise landing.again()
        if landing is Without.AGAIN:
            return landing
        found = self._hit(place, landing) if isinstance(landing, bytes) else None
        if found is None:
            self._missed(place)
        return found


def _left(flight: Flight, give_up_at: float) -> float:
    """How many seconds more a caller waits for a flight, if it gives up at `give_up_at` (monotonic)."""
    until = min(give_up_at, flight.began + FOLLOW_SECONDS) if flight.beside else give_up_at
    return until - time.monotonic()
