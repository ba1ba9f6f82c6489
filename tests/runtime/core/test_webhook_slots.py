"""Receivers of webhooks share the calls that may be under way: a slow one has its own to wait for."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress

import pytest

from lgs_runtime.background.webhook_slots import FEW, CallSlots, host_of


async def taken(slots: CallSlots, host: str) -> int:
    """How many calls of a host begin at once."""
    number = 0
    while await slots.acquire(host, 0):
        number += 1
    return number


async def test_a_host_has_half_of_what_is_free_and_leaves_room_for_others() -> None:
    slots = CallSlots(100)

    shares = [await taken(slots, host) for host in "abcd"]

    assert shares == [50, 25, 13, FEW + 1]
    assert sum(shares) < 100


async def test_hosts_that_wait_take_turns() -> None:
    slots = CallSlots(4)
    assert await taken(slots, "slow") == 4
    begun: list[str] = []

    async def call(host: str) -> None:
        if await slots.acquire(host, 60):
            begun.append(host)

    waiting = [asyncio.create_task(call(host)) for host in ("slow", "slow", "slow", "a", "b")]
    await asyncio.sleep(0)
    for _ in range(3):
        slots.release("slow")
    await asyncio.wait(waiting[:1] + waiting[3:])

    assert begun == ["slow", "a", "b"]
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_who_waits_in_vain_or_goes_away_keeps_no_slot() -> None:
    slots = CallSlots(2)
    assert await taken(slots, "a") == 2

    assert not await slots.acquire("b", 0.01)
    gone = asyncio.create_task(slots.acquire("b", 60))
    late = asyncio.create_task(slots.acquire("b", 60))
    await asyncio.sleep(0)
    gone.cancel()
    slots.release("a")
    late.cancel()
    for task in (gone, late):
        with suppress(asyncio.CancelledError):
            await task

    assert await taken(slots, "c") == 1


async def test_slots_are_neither_lost_nor_made_whoever_goes_away_when() -> None:
    slots, now, most = CallSlots(8), Counter[str](), 0

    async def call(host: str, number: int) -> None:
        nonlocal most
        if await slots.acquire(host, 0.001 * (number % 7)):
            now[host] += 1
            most = max(most, now.total())
            try:
                await asyncio.sleep(0.0007 * (number % 5))
            finally:
                now[host] -= 1
                slots.release(host)

    tasks = [asyncio.create_task(call("abc"[number % 3], number)) for number in range(300)]
    for number, task in enumerate(tasks):
        if number % 4 == 0:
            asyncio.get_running_loop().call_later(0.0005 * (number % 11), task.cancel)
    await asyncio.gather(*tasks, return_exceptions=True)

    assert 0 < most <= 8
    fresh = CallSlots(8)
    assert await taken(slots, "x") == await taken(fresh, "x")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://Hooks.example/a?b#c", "hooks.example:http"),
        ("https://u:p@hooks.example:8443/", "hooks.example:8443"),
        ("http://[::1/", "http://[::1/"),
        ("/hook", "/hook"),
    ],
)
def test_a_receiver_is_known_by_its_host_and_port(url: str, host: str) -> None:
    assert host_of(url) == host
