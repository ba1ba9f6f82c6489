"""A replica's process is copied, as by `multiprocessing`: the copy has one thread, and waits for nothing that
another thread or the event loop was in the midst of."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lgs_runtime.breaker import CircuitBreaker
from lgs_runtime.breaker.registry import CIRCUITS
from lgs_runtime.cache import cached
from lgs_runtime.cache.current import serving
from lgs_runtime.cache.factory import open_cache
from lgs_runtime.cache.manager import CacheManager
from support.ports import PATIENCE_SECONDS

pytestmark = pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
WAITED_SECONDS = PATIENCE_SECONDS


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lgs_runtime.cache.current._of_replicas", [])


@pytest.fixture
async def cache(redis_uri: str) -> AsyncIterator[CacheManager]:
    manager = open_cache(redis_uri, "test", 60.0)
    with serving(manager):
        yield manager
    await manager.close()


def in_a_copy(work: Callable[[], Any]) -> str:
    """What work returns in a copy of this process."""
    there, back = os.pipe()
    copy = os.fork()
    if copy == 0:
        try:
            os.write(back, str(work()).encode())
        except BaseException as raised:  # noqa: BLE001 - nothing of pytest may run here
            os.write(back, repr(raised).encode())
        finally:
            os._exit(0)
    try:
        ready, _, _ = select.select([there], [], [], WAITED_SECONDS)
        return os.read(there, 1000).decode() if ready else "it waits"
    finally:
        os.kill(copy, signal.SIGKILL)
        os.waitpid(copy, 0)
        os.close(there)
        os.close(back)


@contextmanager
def in_another_thread(hold: Any) -> Iterator[None]:
    """While another thread is within this."""
    entered, gate = threading.Event(), threading.Event()

    def held() -> None:
        with hold:
            entered.set()
            gate.wait()

    thread = threading.Thread(target=held)
    thread.start()
    entered.wait()
    try:
        yield
    finally:
        gate.set()
        thread.join()


async def test_a_function_is_cached_in_a_copy_of_a_replica_without_its_redis(cache: CacheManager) -> None:
    calls = []

    @cached(ttl=60, namespace="copied")
    def twice(number: int) -> int:
        calls.append(number)
        return 2 * number

    @cached(ttl=60, namespace="copied without a key")
    def kind(given: object) -> str:
        return type(given).__name__

    def work() -> Any:
        return twice(1), twice(2), twice(2), calls, kind(object())

    assert await asyncio.to_thread(twice, 1) == 2
    assert await asyncio.to_thread(in_a_copy, work) == "(2, 4, 4, [1, 1, 2], 'object')"
    assert await asyncio.to_thread(twice, 1) == 2
    assert calls == [1]


async def test_a_copy_waits_for_no_call_of_another_thread(cache: CacheManager) -> None:
    gate = threading.Event()
    begun = threading.Event()
    ours = os.getpid()

    @cached(ttl=60, namespace="copied in the midst")
    def slow() -> str:
        begun.set()
        if os.getpid() == ours:
            gate.wait()
        return "answer"

    call = asyncio.ensure_future(asyncio.to_thread(slow))
    await asyncio.to_thread(begun.wait)
    try:
        assert await asyncio.to_thread(in_a_copy, slow) == "answer"
    finally:
        gate.set()
    assert await call == "answer"


def used_once(breaker: CircuitBreaker) -> str:
    with breaker:
        return str(breaker.parts[1] and breaker.parts[1].used)


def test_a_copy_has_the_places_of_a_bulkhead_for_itself() -> None:
    breaker = CircuitBreaker("copied", max_concurrent=1)

    with in_another_thread(breaker):
        assert in_a_copy(lambda: used_once(breaker)) == "1"
    with breaker:
        assert in_a_copy(lambda: used_once(breaker)) == "1"


@pytest.mark.parametrize("part", ["circuit", "bulkhead", "blocks", "registry"])
def test_a_copy_waits_for_no_lock_of_another_thread(part: str) -> None:
    breaker = CircuitBreaker("copied", max_concurrent=1)
    whole: Any = {"circuit": breaker.circuit, "bulkhead": breaker.parts[1], "blocks": breaker._blocks}

    with in_another_thread(whole.get(part, CIRCUITS)._lock):
        assert in_a_copy(lambda: used_once(CircuitBreaker("copied", max_concurrent=1))) == "1"
        assert in_a_copy(lambda: used_once(breaker)) == "1"
