"""Who waits for the listeners of a thread goes on when each of them has been sent the run, or in time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from lgs_runtime.streams.delivery import DeliveryBarrier, DeliveryBarriers, Listener

LONG = 60.0


async def begun(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """A task that has come as far as it can."""
    task = asyncio.create_task(work)
    for _ in range(5):
        await asyncio.sleep(0)
    return task


async def test_a_run_is_delivered_when_every_listener_has_been_sent_it() -> None:
    barrier = DeliveryBarrier()
    with barrier.joined() as first, barrier.joined() as second:
        wait = await begun(barrier.wait_delivered("run", LONG))
        first.sent("run")
        second.sent("another")
        await begun(asyncio.sleep(0))
        waits_for_the_second = not wait.done()

        second.sent("run")
        await asyncio.wait_for(wait, LONG)

    assert waits_for_the_second


async def test_a_listener_that_goes_is_waited_for_no_more() -> None:
    barrier = DeliveryBarrier()
    with barrier.joined() as stays:
        with barrier.joined():
            stays.sent("run")
            wait = await begun(barrier.wait_delivered("run", LONG))
            waited = not wait.done()

        await asyncio.wait_for(wait, LONG)

    assert waited


async def test_the_first_listener_is_waited_for() -> None:
    barrier = DeliveryBarrier()
    wait = await begun(barrier.wait_delivered("run", LONG))
    waited = not wait.done()

    with barrier.joined() as listener:
        listener.sent("run")
        await asyncio.wait_for(wait, LONG)

    assert waited


async def test_a_listener_that_is_never_sent_the_run_is_waited_for_no_longer_than_asked() -> None:
    barrier = DeliveryBarrier()
    with barrier.joined():
        await asyncio.wait_for(barrier.wait_delivered("run", 0.01), LONG)

        assert barrier.has_listeners


async def test_a_barrier_is_kept_while_somebody_has_to_do_with_it() -> None:
    barriers = DeliveryBarriers()
    with barriers.of("thread") as barrier, barrier.joined(), barriers.of("thread") as same:
        with barriers.of("other") as another:
            pass
        assert same is barrier and another is not barrier

    with barriers.of("thread") as later:
        assert later is not barrier


async def test_who_waits_for_the_others_has_been_sent_the_run_itself() -> None:
    barrier = DeliveryBarrier()
    with barrier.joined() as first, barrier.joined() as second:
        waits = await begun(first.wait_delivered("run", LONG))
        waited = not waits.done()

        await asyncio.wait_for(second.wait_delivered("run", LONG), LONG)
        await asyncio.wait_for(waits, LONG)

    assert waited


async def test_a_listener_that_was_sent_the_run_before_it_joins_is_not_waited_for() -> None:
    barrier = DeliveryBarrier()
    listener = Listener(barrier)
    listener.sent("run")

    with barrier.joined(listener) as joined:
        await asyncio.wait_for(barrier.wait_delivered("run", LONG), LONG)

    assert joined is listener


async def test_a_barrier_stays_for_a_listener_or_a_waiter_though_others_leave_it() -> None:
    barriers = DeliveryBarriers()
    with barriers.of("thread") as barrier:
        with barrier.joined():
            with barriers.of("thread"):
                pass
            with barriers.of("thread") as while_somebody_listens:
                pass
        wait = await begun(barrier.wait_delivered("run", LONG))
        with barriers.of("thread"):
            pass
        with barriers.of("thread") as while_somebody_waits, while_somebody_waits.joined() as listener:
            listener.sent("run")
            await asyncio.wait_for(wait, LONG)

    assert while_somebody_listens is while_somebody_waits is barrier
    assert barrier.unused
    with barriers.of("thread") as later:
        assert later is not barrier
