"""`CircuitBreaker`: a circuit, its bulkhead, time-out and fallback around functions and blocks of code."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from lgs_runtime.breaker import guarding
from lgs_runtime.breaker.blocks import Blocks, block_of_caller
from lgs_runtime.breaker.bulkhead import Bulkhead, bulkhead
from lgs_runtime.breaker.call import Call, Ignored, check_ignored, result_of
from lgs_runtime.breaker.circuit import Circuit
from lgs_runtime.breaker.policy import DEFAULT, LONGEST_SECONDS, InvalidPolicy, Policy, check_number
from lgs_runtime.breaker.registry import CIRCUITS
from lgs_runtime.breaker.state_machine import Phase, Result

F = TypeVar("F", bound=Callable[..., Any])


class CircuitBreaker:
    """Guards the calls of one thing. It is a decorator (of functions, coroutine functions, and generators of
    both kinds) and a context manager (`with` and `async with`); many threads and tasks may use one breaker at
    once. Breakers of the same `name` share their circuit.

    Durations are in seconds. `ignore`: exceptions that do not count as failures of what is called (classes,
    or a function of the exception). `timeout`: after this time an asynchronous call fails with
    `TimeoutError`. `max_concurrent`: how many calls may be made at a time; others wait up to
    `max_wait_seconds`, or are refused. `fallback`: what a decorated function answers instead of a failure or
    a refusal: a value, or a function of the exception and the call's arguments.

    Raises `ValueError` for options that can't work, worded `name: value: rule`.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        failure_threshold: float = DEFAULT.failure_threshold,
        recovery_timeout: float = DEFAULT.recovery_timeout,
        minimum_calls: int = DEFAULT.minimum_calls,
        window_seconds: float = DEFAULT.window_seconds,
        probes: int = DEFAULT.probes,
        slow_call_seconds: float | None = None,
        slow_call_threshold: float = DEFAULT.slow_call_threshold,
        ignore: Ignored = (),
        timeout: float | None = None,
        max_concurrent: int | None = None,
        max_wait_seconds: float = 0.0,
        fallback: Any = guarding.NO_FALLBACK,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policy = Policy(
            failure_threshold=failure_threshold,
            minimum_calls=minimum_calls,
            window_seconds=window_seconds,
            recovery_timeout=recovery_timeout,
            probes=probes,
            slow_call_seconds=slow_call_seconds,
            slow_call_threshold=slow_call_threshold,
        )
        if timeout is not None:
            check_number("timeout", timeout, most=LONGEST_SECONDS)
        if name is not None and not (isinstance(name, str) and name.strip() and _can_be_sent(name)):
            raise InvalidPolicy("name", name, "must be a text that names what is called")
        if not callable(clock):
            raise InvalidPolicy(
                "clock", clock, "must be a function that returns seconds, such as time.monotonic"
            )
        self.ignore = check_ignored(ignore)
        self.timeout = timeout
        self.fallback = fallback
        self._clock = clock
        self._wanted = bulkhead(max_concurrent, max_wait_seconds)
        self._parts: tuple[Circuit, Bulkhead | None] | None = None
        self._blocks = Blocks()
        self._place = _place()
        if name is not None:
            self._parts = self._made(name)

    def __copy__(self) -> CircuitBreaker:
        """Itself: a copy would guard the same thing."""
        return self

    def __deepcopy__(self, _memo: object) -> CircuitBreaker:
        """Like `__copy__`, as an object that holds a breaker may be copied."""
        return self

    @property
    def name(self) -> str:
        """Its name in logs and metrics: the given one, else that of the first function it decorates, else the
        place where it was made."""
        return self.circuit.name

    @property
    def state(self) -> Phase:
        """The state of its circuit: `closed`, `open` or `half-open`."""
        return self.circuit.phase

    @property
    def circuit(self) -> Circuit:
        """The circuit, which breakers of the same name share."""
        return self.parts[0]

    @property
    def parts(self) -> tuple[Circuit, Bulkhead | None]:
        """The circuit and its bulkhead."""
        if self._parts is None:
            self._parts = self._made(self._place)
        return self._parts

    def __call__(self, function: F) -> F:
        """Decorates a function. Raises `TypeError` for what can't be called, and `InvalidPolicy` for options
        that the function can't have."""
        if not callable(function):
            raise TypeError(f"{self._place}: a breaker decorates functions, not {function!r}")
        if self._parts is None:
            named = f"{function.__module__}.{getattr(function, '__qualname__', type(function).__qualname__)}"
            self._parts = self._made(named)
        return guarding.guarded(self, function)

    def result_of(self, raised: BaseException | None) -> Result:
        """What the end of a call says about the thing that was called."""
        return result_of(raised, self.ignore, self.name)

    def __enter__(self) -> CircuitBreaker:
        if self.timeout is not None:
            raise InvalidPolicy("timeout", self.timeout, "needs `async with`: a thread's call can't be cut")
        block = block_of_caller()
        self._blocks.enter(Call(self).__enter__(), block)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, at: TracebackType | None
    ) -> None:
        self._blocks.leave(block_of_caller()).__exit__(kind, raised, at)

    async def __aenter__(self) -> CircuitBreaker:
        block = block_of_caller()
        self._blocks.enter(await Call(self).__aenter__(), block)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._blocks.leave(block_of_caller()).__aexit__(kind, raised, at)

    def _made(self, name: str) -> tuple[Circuit, Bulkhead | None]:
        return CIRCUITS.of(name, self._policy, self._wanted, self._clock)


def _can_be_sent(name: str) -> bool:
    """Whether a name can be encoded: half a character would break /metrics, and what replicas share."""
    return name.encode(errors="ignore").decode() == name


def _place() -> str:
    """The module and line of the code that makes a breaker."""
    frame = sys._getframe(2)
    return f"{frame.f_globals.get('__name__', '?')}:{frame.f_lineno}"
