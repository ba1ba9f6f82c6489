"""One call through a breaker, from the moment it is let through to its end."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import AsyncIterator, Callable
from concurrent import futures
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from lgs_runtime.breaker.bulkhead import Place
from lgs_runtime.breaker.policy import InvalidPolicy
from lgs_runtime.breaker.refusals import CallRefused
from lgs_runtime.breaker.state_machine import Permit, Result

if TYPE_CHECKING:
    from lgs_runtime.breaker.breaker import CircuitBreaker

Ignored = type[BaseException] | tuple[type[BaseException], ...] | Callable[[BaseException], bool]
"""Exceptions that do not count as failures: classes, or a function that returns true for them."""


def check_ignored(ignore: Ignored) -> Ignored:
    """The exceptions to ignore, validated. Raises `InvalidPolicy` unless they are exception classes or a
    function that is not async."""
    if any(map(inspect.iscoroutinefunction, (ignore, type(ignore).__call__))):
        raise InvalidPolicy("ignore", ignore, "must not be async: nothing waits for its answer")
    kinds = ignore if isinstance(ignore, tuple | list | set | frozenset) else (ignore,)
    if all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds):
        return tuple(kinds)  # type: ignore[arg-type]
    if callable(ignore) and not isinstance(ignore, type):
        return ignore
    raise InvalidPolicy("ignore", ignore, "must be exception classes, or a function of an exception")


def result_of(raised: BaseException | None, ignore: Ignored, circuit: str) -> Result:
    """The result of a call that has ended. It is neither success nor failure for a cancellation, the end of
    the program, a graph that is interrupted inside the call, and a refusal by the `circuit` itself. A group
    of exceptions is a failure if one of them is."""
    if raised is None:
        return Result.SUCCESS
    if isinstance(raised, BaseExceptionGroup):
        results = [result_of(each, ignore, circuit) for each in raised.exceptions]
        return Result.FAILURE if Result.FAILURE in results else Result.NEITHER
    if not isinstance(raised, Exception) or _is_of_the_graph(raised):
        return Result.NEITHER
    if isinstance(raised, CallRefused) and raised.circuit == circuit:
        return Result.NEITHER
    return Result.NEITHER if _is_ignored(raised, ignore) else Result.FAILURE


def _is_ignored(raised: Exception, ignore: Ignored) -> bool:
    try:
        return isinstance(raised, ignore) if isinstance(ignore, tuple | type) else bool(ignore(raised))
    except Exception:  # noqa: BLE001
        # The caller must get the exception of its call, not one of the function that classifies it.
        return False


class Call:
    """The context of one call, to be entered once and left once. `async with` waits for a place without
    blocking the event loop, and raises `TimeoutError` when the call takes longer than the breaker's time-out
    (if `timed`)."""

    __slots__ = (
        "_breaker",
        "_bulkhead",
        "_circuit",
        "_permit",
        "_place",
        "_timed",
        "_timeout",
        "lasts",
        "says_nothing",
    )

    def __init__(self, breaker: CircuitBreaker, *, timed: bool = True) -> None:
        self._breaker = breaker
        self._circuit, self._bulkhead = breaker.parts
        self._permit: Permit | None = None
        self._place: Place | None = None
        self._timed = timed and breaker.timeout is not None
        self._timeout: AbstractAsyncContextManager[None] | None = None
        self.says_nothing = False
        """Whether the end of this call says nothing, such as before the thing called was asked."""
        self.lasts = False
        """Whether the call goes on after its block is left, until `ended_as`."""

    def __enter__(self) -> Call:
        if self._bulkhead is not None:
            self._circuit.check()
            self._place = self._bulkhead.enter(self._circuit.name)
        self._acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, at: TracebackType | None
    ) -> None:
        if not self.lasts:
            self._end(raised)

    def ended_as(self, future: asyncio.Future[Any] | futures.Future[Any]) -> None:
        """Ends a call that goes on after its block, by the future of its result."""
        self.says_nothing = future.cancelled()
        self._end(None if future.cancelled() else future.exception())

    async def __aenter__(self) -> Call:
        if self._bulkhead is not None:
            self._circuit.check()
            self._place = await self._bulkhead.enter_async(self._circuit.name)
        self._acquire()
        if self._timed:
            self._timeout = self.timed()
            try:
                await self._timeout.__aenter__()
            except BaseException as outside:
                # For example in code that no task runs: nothing was called.
                self.says_nothing = True
                self._end(outside)
                raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, at: TracebackType | None
    ) -> None:
        ended = raised
        try:
            if self._timeout is not None:
                await self._timeout.__aexit__(kind, raised, at)
        except BaseException as late:
            ended = late
            raise
        finally:
            self._end(ended)

    @asynccontextmanager
    async def timed(self) -> AsyncIterator[None]:
        """The code inside must end within the breaker's time-out. Raises `TimeoutError`."""
        limit = self._breaker.timeout
        clock = asyncio.timeout(limit)
        try:
            async with clock:
                yield
        except TimeoutError as late:
            if not clock.expired():
                raise
            said = f"circuit {self._circuit.name!r}: no answer within {limit:g} s"
            raise TimeoutError(said) from late

    def _end(self, raised: BaseException | None) -> None:
        self._give_up_place()
        assert self._permit is not None, "left without being entered"
        result = Result.SUCCESS if raised is None else self._breaker.result_of(raised)
        if self.says_nothing:
            result = Result.NEITHER
        self._circuit.report(self._permit, result)

    def _acquire(self) -> None:
        try:
            self._permit = self._circuit.enter()
        except BaseException:
            self._give_up_place()
            raise

    def _give_up_place(self) -> None:
        if self._bulkhead is not None and self._place is not None:
            self._bulkhead.leave(self._place)


def _is_of_the_graph(raised: BaseException) -> bool:
    """Whether LangGraph uses this exception to stop or redirect a graph. Where LangGraph is not loaded, as
    while settings are read, nobody can have raised one."""
    loaded = sys.modules.get("langgraph.errors")
    return loaded is not None and isinstance(raised, loaded.GraphBubbleUp)
