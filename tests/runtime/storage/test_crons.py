"""Crons: what is due is given to one replica at a time, until one of them has made its run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from lgs_runtime.errors import NotFound
from lgs_runtime.model import Cron, Scope, Ttl
from lgs_runtime.storage import Storage
from lgs_runtime.storage.queries import CronQuery
from support.service import Service, new_id

Another = Callable[..., Awaitable[Storage]]


async def due_cron(storage: Storage, **more: object) -> Cron:
    """A cron that was due five minutes ago."""
    now = await storage.now()
    past = now - timedelta(minutes=5)
    cron = Cron(
        new_id(),
        new_id(),
        None,
        "0 9 * * *",
        None,
        {"input": 1},
        {"k": 1},
        "keep",
        None,
        True,
        past,
        now,
        now,
    )
    return await storage.crons.create(replace(cron, **more))  # type: ignore[arg-type]


async def test_a_cron_is_kept_as_it_was_stored(storage: Storage, open_another: Another) -> None:
    end = datetime.fromisoformat("2030-05-06T07:08:09.123456+00:00")
    cron = await due_cron(storage, timezone="Asia/Kolkata", end_time=end, thread_id=new_id())

    seen = await (await open_another()).crons.get(cron.cron_id)

    assert seen == cron
    assert (seen.end_time, seen.payload, seen.enabled) == (end, {"input": 1}, True)


async def test_a_due_cron_is_given_to_one_replica(storage: Storage, open_another: Another) -> None:
    crons = [await due_cron(storage) for _ in range(3)]
    replicas = [storage, *[await open_another() for _ in range(3)]]

    claims = await asyncio.gather(*(replica.crons.claim(2, 60.0) for replica in replicas))

    given = [cron.cron_id for claim in claims for cron in claim]
    assert sorted(given) == sorted(cron.cron_id for cron in crons)


async def test_a_cron_whose_replica_died_is_given_to_the_next(
    storage: Storage, open_another: Another
) -> None:
    cron = await due_cron(storage)

    (first,) = await storage.crons.claim(10, 0.0)
    (second,) = await (await open_another()).crons.claim(10, 60.0)

    assert first == second == cron
    assert await storage.crons.claim(10, 60.0) == []


async def test_crons_that_are_due_again_and_again_hold_up_no_other(storage: Storage) -> None:
    """As those of a user whose budget is used up, who has more of them than are given at once."""
    waiting = {(await due_cron(storage)).cron_id for _ in range(4)}
    assert {each.cron_id for each in await storage.crons.claim(10, 0.0)} == waiting
    fresh = await due_cron(storage)

    given = [each.cron_id for each in await storage.crons.claim(2, 0.0)]

    assert fresh.cron_id in given
    others = [each.cron_id for _ in range(2) for each in await storage.crons.claim(2, 60.0)]
    assert {*given, *others} == {*waiting, fresh.cron_id}, "each of them has its turn"


async def test_a_cron_is_advanced_once(storage: Storage) -> None:
    cron = await due_cron(storage)
    assert cron.next_run_date is not None
    later = await storage.now() + timedelta(days=1)

    moved = [await storage.crons.advance(cron.cron_id, cron.next_run_date, later) for _ in range(2)]

    assert moved == [True, False]
    assert (await storage.crons.get(cron.cron_id)).next_run_date == later
    assert await storage.crons.claim(10, 60.0) == []


@pytest.mark.parametrize("change", [{"enabled": False}, {"next_run_date": None}])
async def test_a_cron_that_is_off_or_over_is_never_due(storage: Storage, change: dict[str, object]) -> None:
    cron = await due_cron(storage)

    await storage.crons.update(cron.cron_id, change)

    assert await storage.crons.claim(10, 60.0) == []


async def test_the_crons_of_an_assistant_are_deleted_with_it_and_no_others(service: Service) -> None:
    storage = service.storage
    for _ in range(2):
        await due_cron(storage, assistant_id=service.assistant_id, metadata={"owner": "somebody"})
    other = await due_cron(storage)

    with pytest.raises(NotFound):
        await storage.assistants.delete(service.assistant_id, scope=Scope(({"owner": "nobody"},)))
    assert await storage.crons.count(CronQuery()) == 3

    await storage.assistants.delete(service.assistant_id)

    assert [cron.cron_id for cron in await storage.crons.search(CronQuery())] == [other.cron_id]


@pytest.mark.parametrize("way", ["deleted", "expired", "with its assistant"])
async def test_the_crons_of_a_thread_go_with_it_and_no_others(service: Service, way: str) -> None:
    storage = service.storage
    made_by = {"assistant_id": service.assistant_id}
    thread_id = (await storage.threads.create(new_id(), made_by, ttl=Ttl(-1.0))).thread_id
    for _ in range(2):
        await due_cron(storage, thread_id=thread_id)
    others = [await due_cron(storage), await due_cron(storage, thread_id=new_id())]

    if way == "deleted":
        with pytest.raises(NotFound):
            await storage.threads.delete(thread_id, Scope(({"owner": "nobody"},)))
        assert await storage.crons.count(CronQuery()) == 4
        await storage.threads.delete(thread_id)
    elif way == "expired":
        assert await storage.threads.expire(10) == [thread_id]
    else:
        await storage.assistants.delete(service.assistant_id, delete_threads=True)

    left = {cron.cron_id for cron in await storage.crons.search(CronQuery())}
    assert left == {cron.cron_id for cron in others}


async def test_the_crons_of_a_thread_stay_for_the_one_that_replaces_it(service: Service) -> None:
    storage = service.storage
    thread_id = (await storage.threads.create(new_id(), {})).thread_id
    cron = await due_cron(storage, thread_id=thread_id)

    await storage.threads.delete(thread_id, replaced=True)

    assert await storage.crons.search(CronQuery(thread_id=thread_id)) == [cron]


async def test_crons_are_found_changed_and_deleted(storage: Storage) -> None:
    mine = await due_cron(storage, metadata={"user": "ada", "n": 1})
    await due_cron(storage, metadata={"user": "bob"})

    found = await storage.crons.search(CronQuery(metadata={"user": "ada"}))
    changed = await storage.crons.update(mine.cron_id, {"schedule": "5 * * * *", "metadata": {}})
    await storage.crons.delete(mine.cron_id)

    assert found == [mine]
    assert (changed.schedule, changed.metadata, changed.payload) == ("5 * * * *", {}, {"input": 1})
    assert await storage.crons.count(CronQuery()) == 1
    for gone in (storage.crons.get, storage.crons.delete):
        with pytest.raises(NotFound, match=mine.cron_id):
            await gone(mine.cron_id)
    with pytest.raises(NotFound):
        await storage.crons.update(mine.cron_id, {})


async def test_the_depth_of_the_queue_tells_when_the_next_cron_is_due(storage: Storage) -> None:
    now = await storage.now()
    await due_cron(storage)
    await due_cron(storage, enabled=False, next_run_date=now + timedelta(minutes=1))
    overdue = await storage.queue.depth()
    await due_cron(storage, next_run_date=now + timedelta(hours=1))

    depth = await storage.queue.depth()

    assert overdue.next_due_seconds is None
    assert depth.next_due_seconds is not None
    assert 3000 < depth.next_due_seconds <= 3600
