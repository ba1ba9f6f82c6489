"""Puts functions behind a breaker, with a wrapper for each kind of function, so that a call lasts as long as
its work. The call of a generator begins with its first item and ends with its last; a consumer that leaves
before that says nothing."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from concurrent import futures
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from lgs_runtime.breaker.call import Call
from lgs_runtime.breaker.policy import InvalidPolicy
from lgs_runtime.breaker.refusals import CallRefused
from lgs_runtime.breaker.state_machine import Result

if TYPE_CHECKING:
    from lgs_runtime.breaker.breaker import CircuitBreaker

F = TypeVar("F", bound=Callable[..., Any])
NO_FALLBACK: Final = object()
FUTURES: Final = (asyncio.Future, futures.Future)


def guarded(breaker: CircuitBreaker, function: F) -> F:
    """The function, wrapped with the breaker. Raises `InvalidPolicy` for a time-out or an async fallback if
    the function is not async."""
    target = _target(function)
    if inspect.isasyncgenfunction(target):
        wrapper: Any = _async_generator(breaker, function)
    elif inspect.iscoroutinefunction(target):
        wrapper = _coroutine(breaker, function)
    else:
        _check_plain(breaker, target)
        plain = _generator if inspect.isgeneratorfunction(target) else _function
        wrapper = plain(breaker, function)
    return cast(F, functools.update_wrapper(wrapper, function))


def _target(function: Callable[..., Any]) -> Callable[..., Any]:
    """What is actually called: for an object that is not a function itself, its `__call__`."""
    inner = functools.partial(function).func
    return inner if inspect.isroutine(inner) else type(inner).__call__


def _check_plain(breaker: CircuitBreaker, target: Callable[..., Any]) -> None:
    if breaker.timeout is not None:
        raise InvalidPolicy("timeout", breaker.timeout, "needs an async function: nothing can cut a thread's")
    waits = inspect.iscoroutinefunction(breaker.fallback) or inspect.isasyncgenfunction(breaker.fallback)
    if waits:
        raise InvalidPolicy("fallback", breaker.fallback, f"must not be async where {target!r} is not")


def _function(breaker: CircuitBreaker, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        one = Call(breaker)
        try:
            with one:
                result = function(*args, **kwargs)
                # An awaitable or a stream says nothing yet; the call is made when it is awaited, or read.
                one.says_nothing = inspect.isawaitable(result) or _is_stream(result)
                one.lasts = isinstance(result, FUTURES)
        except Exception as failed:  # noqa: BLE001
            return _instead(breaker, failed, args, kwargs)
        if one.lasts:
            # A future is under way already: the call lasts until it is done, whoever waits for it.
            result.add_done_callback(one.ended_as)
            return result
        if _is_coroutine(result):
            return _finished(breaker, result, args, kwargs)
        if not _is_stream(result):
            return result
        stream = _async_generator if inspect.isasyncgen(result) else _generator
        return stream(breaker, lambda *_args, **_kwargs: result)(*args, **kwargs)

    return call


def _is_coroutine(result: Any) -> bool:
    """Whether it can only be awaited: a coroutine of Python or Cython, or a generator of
    `types.coroutine`."""
    if isinstance(result, Coroutine):
        return not hasattr(result, "__aenter__")
    return inspect.isgenerator(result) and inspect.isawaitable(result)


def _is_stream(result: Any) -> bool:
    # A generator of `types.coroutine` is awaited, not read.
    return inspect.isasyncgen(result) or (inspect.isgenerator(result) and not inspect.isawaitable(result))


def _coroutine(breaker: CircuitBreaker, function: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        return await _finished(breaker, function(*args, **kwargs), args, kwargs)

    return call


async def _finished(
    breaker: CircuitBreaker, work: Coroutine[Any, Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    try:
        async with Call(breaker):
            return await work
    except Exception as failed:  # noqa: BLE001
        answer = _instead(breaker, failed, args, kwargs)
        return await answer if inspect.isawaitable(answer) else answer
    finally:
        work.close()  # One that was refused was never begun.


def _generator(breaker: CircuitBreaker, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        begun = False
        try:
            with Call(breaker), closing(function(*args, **kwargs)) as items:
                try:
                    item = next(items)
                    begun = True
                    # Values sent and exceptions thrown into this generator, as by `contextmanager`, are
                    # passed on.
                    while True:
                        try:
                            sent = yield item
                        except GeneratorExit:
                            raise
                        except BaseException as thrown:  # noqa: BLE001 - as of `contextmanager`
                            item = items.throw(thrown)
                        else:
                            if sent is None:
                                break
                            item = items.send(sent)
                except StopIteration as end:
                    return end.value
                # From here on the interpreter itself passes on what comes.
                return (yield from items)
        except Exception as failed:
            if begun:
                raise
            answer = _instead(breaker, failed, args, kwargs)
        return (yield from answer)

    return call


def _async_generator(breaker: CircuitBreaker, function: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        begun = False
        try:
            async with Call(breaker, timed=False) as one, aclosing(function(*args, **kwargs)) as items:
                following = items.asend(None)
                while True:
                    try:
                        if breaker.timeout is None:
                            item = await following
                        else:
                            async with one.timed():
                                item = await following
                    except StopAsyncIteration:
                        break
                    begun = True
                    try:
                        following = items.asend((yield item))
                    except GeneratorExit:
                        raise
                    except BaseException as thrown:  # noqa: BLE001 - as of `asynccontextmanager`
                        following = items.athrow(thrown)
            return
        except Exception as failed:
            if begun:
                raise
            answer = _instead(breaker, failed, args, kwargs)
        if hasattr(answer, "__aiter__"):
            async for item in answer:
                yield item
        else:
            for item in await answer if inspect.isawaitable(answer) else answer:
                yield item

    return call


def _instead(
    breaker: CircuitBreaker, failed: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """The answer of the fallback. Raises the exception where there is no fallback, or where it does not count
    as a failure of what was called."""
    fallback = breaker.fallback
    refused = isinstance(failed, CallRefused)
    if fallback is NO_FALLBACK or not (refused or breaker.result_of(failed) is Result.FAILURE):
        raise failed
    return fallback(failed, *args, **kwargs) if callable(fallback) else fallback
