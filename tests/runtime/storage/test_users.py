"""The runs of a user: listed over all threads, and no more of them unfinished than a user may have."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from lgs_runtime.errors import QueueFull, UserLimit
from lgs_runtime.model import NewRun, Outcome, Page, QueueLimits, Scope
from lgs_runtime.storage import Storage
from lgs_runtime.storage.actor import acting
from lgs_runtime.storage.queries import RunQuery
from support.service import Service, new_id

TWO = QueueLimits(user=2)
PAGE = Page(limit=100)


async def test_a_user_has_the_runs_they_asked_for(service: Service) -> None:
    await service.replica()
    with acting("alice"):
        first = await service.running(created_metadata={"team": "red"})
        second = (await service.enqueue(created_metadata={"team": "blue"}, metadata={"kind": "b"})).run
    with acting("bob"):
        await service.enqueue()
    await service.enqueue()
    await service.storage.queue.finish(first, "r1", Outcome("success"))

    async def found(**more: object) -> list[str]:
        runs = await service.storage.runs.of_user("alice", RunQuery(page=PAGE, **more))  # type: ignore[arg-type]
        return [run.run_id for run in runs]

    assert await found() == [second.run_id, first.run_id]
    assert await found(status="success") == [first.run_id]
    assert await found(scope=Scope(({"team": "blue"},))) == [second.run_id]
    assert await found(metadata={"kind": "b"}) == [second.run_id]
    assert await service.storage.runs.of_user("alice", RunQuery(page=Page(limit=1, offset=1))) == [
        await service.storage.runs.get(first.run_id)
    ]


async def test_one_run_too_many_is_refused_and_not_stored(service: Service) -> None:
    await service.replica()
    with acting("alice"):
        running = await service.running(limits=TWO)
        waiting = (await service.enqueue(limits=TWO)).run
        with pytest.raises(UserLimit, match="at most 2") as refused:
            await service.enqueue(limits=TWO)
        with pytest.raises(UserLimit):
            await service.storage.queue.enqueue_all([new_run(service)], TWO)
        again = await service.storage.queue.enqueue(new_run(service, run_id=waiting.run_id), TWO)
    with acting("bob"):
        await service.enqueue(limits=TWO)
    await service.enqueue(limits=TWO)

    assert isinstance(refused.value, QueueFull)
    assert refused.value.retry_after_seconds >= 1
    assert again.run.run_id == waiting.run_id
    assert len(await service.storage.runs.of_user("alice", RunQuery(page=PAGE))) == 2
    await service.storage.queue.finish(running, "r1", Outcome("success"))
    with acting("alice"):
        await service.enqueue(limits=TWO)


async def test_a_run_that_takes_the_place_of_another_of_the_user_is_stored(service: Service) -> None:
    with acting("alice"):
        waiting = (await service.enqueue(limits=TWO)).run
        await service.enqueue(limits=TWO)
        await service.enqueue(waiting.thread_id, limits=TWO, multitask_strategy="interrupt")

    assert (await service.storage.runs.get(waiting.run_id)).status == "interrupted"


async def test_a_batch_is_stored_within_the_limit_or_not_at_all(service: Service) -> None:
    with acting("alice"):
        with pytest.raises(UserLimit):
            await service.storage.queue.enqueue_all([new_run(service) for _ in range(3)], TWO)
        stored = await service.storage.queue.enqueue_all([new_run(service) for _ in range(2)], TWO)

    assert len(stored) == len(await service.storage.runs.of_user("alice", RunQuery(page=PAGE))) == 2


async def test_the_limit_is_exact_however_many_ask_at_once(
    service: Service, open_another: Callable[..., Awaitable[Storage]]
) -> None:
    replicas = [service.storage, await open_another()]

    async def attempt(number: int) -> bool:
        storage = replicas[number % 2]
        try:
            if number % 3:
                await storage.queue.enqueue(new_run(service), TWO)
            else:
                await storage.queue.enqueue_all([new_run(service)], TWO)
        except UserLimit:
            return False
        return True

    with acting("alice"):
        stored = await asyncio.gather(*(attempt(number) for number in range(24)))

    assert sum(stored) == len(await service.storage.runs.of_user("alice", RunQuery(page=PAGE))) == 2


def new_run(service: Service, run_id: str | None = None) -> NewRun:
    return NewRun(run_id or new_id(), new_id(), service.assistant_id, {}, create_thread=True)
