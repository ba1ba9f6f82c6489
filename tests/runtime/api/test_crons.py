"""Crons through the stock SDK: when they are due, that each run is made once, and how they are changed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from api_replicas import Replica
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import NotFoundError, UnprocessableEntityError

from lgs_runtime.api.resources.crons import request_of
from lgs_runtime.background.cron_scheduler import CronScheduler
from lgs_runtime.errors import InvalidRequest, NotFound
from lgs_runtime.model import QueueLimits, Run
from lgs_runtime.runs.admission import new_run
from lgs_runtime.runs.crons import next_after, run_id_of
from lgs_runtime.storage.queries import RunQuery
from support.ports import PATIENCE_SECONDS

YEARLY = "0 0 1 1 *"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("schedule", "timezone", "now", "due"),
    [
        ("0 9 * * *", None, "2026-03-01T09:00:00Z", "2026-03-02T09:00:00Z"),
        ("0 9 * * *", "America/New_York", "2026-03-01T12:00:00Z", "2026-03-01T14:00:00Z"),
        # The clocks of New York go from 2:00 to 3:00, so 9:00 there is 13:00 UTC from then on.
        ("0 9 * * *", "America/New_York", "2026-03-08T12:00:00Z", "2026-03-08T13:00:00Z"),
        # 2:30 is not on that day; it comes when the clocks have changed.
        ("30 2 * * *", "America/New_York", "2026-03-08T06:00:00Z", "2026-03-08T07:00:00Z"),
        ("*/15 8 * * MON", "Asia/Kolkata", "2026-03-01T00:00:00Z", "2026-03-02T02:30:00Z"),
    ],
)
def test_a_schedule_is_read_in_its_time_zone(schedule: str, timezone: str | None, now: str, due: str) -> None:
    assert next_after(schedule, timezone, at(now)) == at(due)


def test_nothing_is_due_after_the_end() -> None:
    now = at("2026-03-01T09:30:00Z")

    assert next_after("0 * * * *", None, now, at("2026-03-01T10:00:00Z")) == at("2026-03-01T10:00:00Z")
    assert next_after("0 * * * *", None, now, at("2026-03-01T09:59:00Z")) is None


@pytest.mark.parametrize("schedule", ["", "often", "* * * *", "* * * * * *", "61 * * * *", "* * 30 2 *"])
def test_a_schedule_that_can_not_be_is_named_with_its_rule(schedule: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^schedule: .*must be minute, hour"):
        next_after(schedule, None, at("2026-03-01T00:00:00Z"))


async def make_due(replica: Replica, cron_id: str) -> Run:
    """Sets the time of a cron back, and waits for the run that is made of it."""
    past = await replica.services.storage.now() - timedelta(minutes=5)
    cron = await replica.services.storage.crons.update(cron_id, {"next_run_date": past})
    return await made(replica, run_id_of(cron))


async def made(replica: Replica, run_id: str) -> Run:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                return await replica.services.storage.runs.get(run_id)
            except NotFound:
                await asyncio.sleep(0.05)


async def test_a_cron_of_a_thread_runs_there_and_is_due_again(
    replica: Replica, client: LangGraphClient
) -> None:
    thread = (await client.threads.create())["thread_id"]
    cron: Any = await client.crons.create_for_thread(
        thread, "steps", schedule=YEARLY, input={"text": "hi"}, metadata={"kind": "yearly"}
    )

    run = await make_due(replica, cron["cron_id"])
    values: Any = await client.runs.join(thread, run.run_id)

    assert values == {"steps": ["first", "second"], "text": "hi"}
    assert run.metadata["kind"] == "yearly" and run.metadata["cron_id"] == cron["cron_id"]
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await client.crons.search(thread_id=thread))[0]["next_run_date"] != cron["next_run_date"]:
            await asyncio.sleep(0.05)
    await client.crons.delete(cron["cron_id"])


@pytest.mark.parametrize("completion", ["delete", "keep"])
async def test_a_cron_without_a_thread_gives_each_run_its_own(
    replica: Replica, client: LangGraphClient, completion: Any
) -> None:
    cron: Any = await client.crons.create(
        "steps", schedule=YEARLY, input={}, on_run_completed=completion, headers={"X-LGS-Priority": "low"}
    )

    run = await make_due(replica, cron["cron_id"])
    await client.runs.join(run.thread_id, run.run_id)

    assert (cron["thread_id"], cron["on_run_completed"], run.priority) == (None, completion, "low")
    kept = await client.threads.search(ids=[run.thread_id])
    assert len(kept) == (1 if completion == "keep" else 0)
    await client.crons.delete(cron["cron_id"])


async def test_a_due_cron_makes_one_run_whoever_looks(replica: Replica, client: LangGraphClient) -> None:
    thread = (await client.threads.create())["thread_id"]
    cron: Any = await client.crons.create_for_thread(thread, "steps", schedule=YEARLY, input={})
    schedulers = [CronScheduler(replica.services) for _ in range(4)]

    past = await replica.services.storage.now() - timedelta(days=3 * 365)
    due = await replica.services.storage.crons.update(cron["cron_id"], {"next_run_date": past})
    await asyncio.gather(*(scheduler.fire_due() for scheduler in schedulers))
    await made(replica, run_id_of(due))
    await asyncio.gather(*(scheduler.fire_due() for scheduler in schedulers))

    assert len(await replica.services.storage.runs.of_thread(thread, RunQuery())) == 1
    await client.crons.delete(cron["cron_id"])


async def test_a_replica_that_died_between_run_and_advance_causes_no_second_run(
    replica: Replica, client: LangGraphClient
) -> None:
    services = replica.services
    thread = (await client.threads.create())["thread_id"]
    made_cron: Any = await client.crons.create_for_thread(thread, "steps", schedule=YEARLY, enabled=False)
    past = await services.storage.now() - timedelta(minutes=5)
    cron = await services.storage.crons.update(made_cron["cron_id"], {"next_run_date": past})
    request, assistant = request_of(cron), await services.storage.assistants.get(cron.assistant_id)
    await services.storage.queue.enqueue(new_run(request, assistant, run_id_of(cron)), QueueLimits())

    await services.storage.crons.update(cron.cron_id, {"enabled": True})
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await services.storage.crons.get(cron.cron_id)).next_run_date == past:
            await asyncio.sleep(0.05)

    assert [run.run_id for run in await services.storage.runs.of_thread(thread, RunQuery())] == [
        run_id_of(cron)
    ]
    await client.crons.delete(cron.cron_id)


async def test_a_cron_is_changed_switched_off_and_ended(client: LangGraphClient) -> None:
    end = datetime(2999, 1, 1, tzinfo=UTC)
    made: Any = await client.crons.create("steps", schedule=YEARLY, input={"text": "a"}, end_time=end)
    cron_id = made["cron_id"]

    moved = await client.crons.update(
        cron_id, schedule="30 9 * * *", timezone="Asia/Kolkata", input={"text": "b"}
    )
    off = await client.crons.update(cron_id, enabled=False)
    on = await client.crons.update(cron_id, enabled=True, end_time=None)
    over = await client.crons.update(cron_id, end_time=datetime(2000, 1, 1, tzinfo=UTC))

    assert "T04:00:00" in str(moved["next_run_date"]) and str(moved["end_time"]).startswith("2999-01-01")
    assert moved["payload"]["input"] == {"text": "b"} and moved["timezone"] == "Asia/Kolkata"
    assert (off["enabled"], off["next_run_date"]) == (False, None)
    assert (on["end_time"], on["next_run_date"]) == (None, moved["next_run_date"])
    assert over["next_run_date"] is None
    await client.crons.delete(cron_id)
    with pytest.raises(NotFoundError, match=cron_id):
        await client.crons.delete(cron_id)


async def test_crons_are_found_by_what_they_are(client: LangGraphClient) -> None:
    thread = (await client.threads.create())["thread_id"]
    tag = str(uuid4())
    first: Any = await client.crons.create_for_thread(thread, "steps", schedule=YEARLY, metadata={"tag": tag})
    second: Any = await client.crons.create("chat", schedule=YEARLY, metadata={"tag": tag}, enabled=False)

    by_tag = await client.crons.search(metadata={"tag": tag}, sort_by="created_at", sort_order="asc")
    by_graph = await client.crons.search(metadata={"tag": tag}, assistant_id="chat", select=["cron_id"])
    running = await client.crons.search(metadata={"tag": tag}, enabled=True)

    assert [cron["cron_id"] for cron in by_tag] == [first["cron_id"], second["cron_id"]]
    assert by_graph == [{"cron_id": second["cron_id"]}]
    assert [cron["cron_id"] for cron in running] == [first["cron_id"]]
    assert await client.crons.count(thread_id=thread) == 1
    for cron in by_tag:
        await client.crons.delete(cron["cron_id"])


async def test_a_cron_that_is_stored_as_its_thread_goes_is_deleted_when_it_is_due(
    replica: Replica, client: LangGraphClient
) -> None:
    crons = replica.services.storage.crons
    thread = (await client.threads.create())["thread_id"]
    cron: Any = await client.crons.create_for_thread(thread, "steps", schedule=YEARLY)
    stored = await crons.get(cron["cron_id"])
    await client.threads.delete(thread)
    assert await client.crons.count(thread_id=thread) == 0

    past = await replica.services.storage.now() - timedelta(minutes=5)
    await crons.create(replace(stored, next_run_date=past))

    async with asyncio.timeout(PATIENCE_SECONDS):
        while await client.crons.count(thread_id=thread):
            await asyncio.sleep(0.05)


async def test_a_cron_that_can_not_be_is_refused(client: LangGraphClient) -> None:
    with pytest.raises(UnprocessableEntityError, match="schedule: 'often': must be minute, hour"):
        await client.crons.create("steps", schedule="often")
    with pytest.raises(UnprocessableEntityError, match="timezone: 'Mars/Base': must be a name of the IANA"):
        await client.crons.create("steps", schedule=YEARLY, timezone="Mars/Base")
    with pytest.raises(NotFoundError, match="assistant 'nope' not found"):
        await client.crons.create("nope", schedule=YEARLY)
    with pytest.raises(NotFoundError):
        await client.crons.create_for_thread(str(uuid4()), "steps", schedule=YEARLY)


async def test_a_cron_that_can_not_be_read_here_does_not_stop_the_others(
    replica: Replica, client: LangGraphClient
) -> None:
    storage = replica.services.storage
    thread = (await client.threads.create())["thread_id"]
    broken: Any = await client.crons.create_for_thread(thread, "steps", schedule=YEARLY)
    past = await storage.now() - timedelta(minutes=9)
    await storage.crons.update(broken["cron_id"], {"timezone": "Mars/Base", "next_run_date": past})

    whole: Any = await client.crons.create_for_thread(thread, "steps", schedule=YEARLY)
    run = await make_due(replica, whole["cron_id"])

    assert run.thread_id == thread
    assert (await storage.crons.get(broken["cron_id"])).next_run_date == past
    for cron in (broken, whole):
        await client.crons.delete(cron["cron_id"])
