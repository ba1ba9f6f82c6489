"""What crons may be given, parameter by parameter: what is kept of it, and what its runs get of it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import httpx
import pytest
from api_graphs import entrance, gate
from api_replicas import Replica
from langgraph_sdk.client import LangGraphClient

from lgs_runtime.errors import NotFound
from lgs_runtime.model import Run
from lgs_runtime.runs.crons import run_id_of
from support.ports import PATIENCE_SECONDS

YEARLY = "0 0 1 1 *"
RUN: dict[str, Any] = {
    "input": {"text": "x"},
    "metadata": {"kind": "yearly"},
    "config": {"tags": ["t"], "configurable": {"odd": 1}},
    "context": {"model": "large"},
    "interrupt_before": ["second"],
    "interrupt_after": "*",
    "webhook": "http://127.0.0.1:9/nobody",
    "stream_mode": ["updates", "values"],
    "stream_subgraphs": True,
    "stream_resumable": True,
    "durability": "exit",
}
"""What every run of a cron can be given."""


async def fired(replica: Replica, cron_id: str) -> Run:
    """Sets the time of a cron back, and waits for the run that is made of it."""
    storage = replica.services.storage
    past = await storage.now() - timedelta(minutes=5)
    run_id = run_id_of(await storage.crons.update(cron_id, {"next_run_date": past}))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                return await storage.runs.get(run_id)
            except NotFound:
                await asyncio.sleep(0.05)


def given_to(run: Run) -> dict[str, Any]:
    """What a run was given, in the words of `RUN`."""
    kwargs = dict(run.kwargs)
    config = kwargs["config"]
    return {
        **{name: kwargs.get(name) for name in RUN},
        "metadata": {"kind": run.metadata.get("kind")},
        "config": {"tags": config.get("tags"), "configurable": {"odd": config["configurable"].get("odd")}},
    }


@pytest.mark.parametrize("on_thread", [True, False])
async def test_a_cron_gives_its_runs_what_it_was_given(
    replica: Replica, client: LangGraphClient, on_thread: bool
) -> None:
    thread_id = (await client.threads.create())["thread_id"]
    made: Any = (
        await client.crons.create_for_thread(thread_id, "steps", schedule=YEARLY, **RUN)
        if on_thread
        else await client.crons.create("steps", schedule=YEARLY, **RUN)
    )

    run = await fired(replica, made["cron_id"])

    assert given_to(run) == RUN
    assert (run.thread_id == thread_id) is on_thread
    assert made["metadata"] == {"kind": "yearly"}
    await client.crons.delete(made["cron_id"])


async def test_a_changed_cron_gives_its_runs_what_it_was_given_then(
    replica: Replica, client: LangGraphClient
) -> None:
    thread_id = (await client.threads.create())["thread_id"]
    old = {"text": "old"}
    made: Any = await client.crons.create_for_thread(thread_id, "steps", schedule=YEARLY, input=old)

    changed: Any = await client.crons.update(made["cron_id"], **RUN)

    run = await fired(replica, made["cron_id"])
    assert given_to(run) == RUN
    assert changed["metadata"] == {"kind": "yearly"}
    await client.crons.delete(made["cron_id"])


@pytest.mark.filterwarnings("ignore:`checkpoint_during` is deprecated")
async def test_the_old_name_of_durability_counts(replica: Replica, client: LangGraphClient) -> None:
    made: Any = await client.crons.create("steps", schedule=YEARLY, checkpoint_during=False)

    assert (await fired(replica, made["cron_id"])).kwargs["durability"] == "exit"
    await client.crons.delete(made["cron_id"])


@pytest.mark.parametrize("strategy", ["reject", "enqueue", "interrupt", "rollback"])
async def test_a_cron_treats_a_busy_thread_as_it_was_told(
    replica: Replica, client: LangGraphClient, strategy: str
) -> None:
    thread_id = (await client.threads.create())["thread_id"]
    old = await client.runs.create(thread_id, "slow", input={"text": thread_id, "steps": ["old"]})
    await entrance(thread_id).wait()
    made: Any = await client.crons.create_for_thread(
        thread_id, "steps", schedule=YEARLY, input={"steps": ["new"]}, multitask_strategy=strategy
    )
    storage = replica.services.storage

    if strategy == "reject":
        past = await storage.now() - timedelta(minutes=5)
        await storage.crons.update(made["cron_id"], {"next_run_date": past})
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await storage.crons.get(made["cron_id"])).next_run_date == past:
                await asyncio.sleep(0.05)
        assert [run["run_id"] for run in await client.runs.list(thread_id)] == [old["run_id"]]
        gate(thread_id).set()
        await client.runs.join(thread_id, old["run_id"])
    else:
        run = await fired(replica, made["cron_id"])
        if strategy == "enqueue":
            gate(thread_id).set()
        values: Any = await client.runs.join(thread_id, run.run_id)
        assert (
            values["steps"]
            == {
                "enqueue": ["old", "first", "waited", "second", "new", "first", "second"],
                "interrupt": ["old", "first", "new", "first", "second"],
                "rollback": ["new", "first", "second"],
            }[strategy]
        )
    await client.crons.delete(made["cron_id"])


@pytest.mark.parametrize("way", ["create", "create_for_thread"])
async def test_the_times_of_a_cron_are_kept(client: LangGraphClient, way: str) -> None:
    thread_id = (await client.threads.create())["thread_id"]
    make: Any = getattr(client.crons, way)
    first = (thread_id,) if way == "create_for_thread" else ()
    end = datetime(2999, 1, 1, tzinfo=UTC)

    made = await make(*first, "steps", schedule="0 9 * * *", timezone=ZoneInfo("Asia/Kolkata"), end_time=end)
    off = await make(*first, "steps", schedule=YEARLY, enabled=False)
    over = await make(*first, "steps", schedule=YEARLY, end_time=datetime(2000, 1, 1, tzinfo=UTC))

    assert (made["timezone"], made["schedule"], made["enabled"]) == ("Asia/Kolkata", "0 9 * * *", True)
    assert "T03:30:00" in made["next_run_date"] and made["end_time"].startswith("2999-01-01")
    assert (off["enabled"], off["next_run_date"], over["next_run_date"]) == (False, None, None)
    for cron in (made, off, over):
        await client.crons.delete(cron["cron_id"])


async def test_what_becomes_of_a_crons_threads_can_be_changed(
    replica: Replica, client: LangGraphClient
) -> None:
    made: Any = await client.crons.create("steps", schedule=YEARLY, input={})

    changed: Any = await client.crons.update(made["cron_id"], on_run_completed="keep")

    run = await fired(replica, made["cron_id"])
    await client.runs.join(run.thread_id, run.run_id)
    assert (made["on_run_completed"], changed["on_run_completed"]) == ("delete", "keep")
    assert (await client.threads.get(run.thread_id))["thread_id"] == run.thread_id
    await client.crons.delete(made["cron_id"])


async def test_crons_are_sorted_paged_and_counted(client: LangGraphClient, url: str) -> None:
    tag = {"tag": str(uuid4())}
    thread_id = (await client.threads.create())["thread_id"]
    schedules = ("0 0 3 3 *", "0 0 1 1 *", "0 0 2 2 *")
    ends = [datetime(year, 1, 1, tzinfo=UTC) for year in (2903, 2901, 2902)]
    made: list[Any] = [
        await client.crons.create("steps", schedule=schedule, end_time=end, metadata=tag)
        for schedule, end in zip(schedules, ends, strict=True)
    ]
    ids = [cron["cron_id"] for cron in made]
    await client.crons.update(ids[0], enabled=True)
    by_due = [cron["cron_id"] for cron in sorted(made, key=lambda cron: cron["next_run_date"])]
    expected: Any = {
        "created_at": ids,
        "updated_at": [ids[1], ids[2], ids[0]],
        "cron_id": sorted(ids),
        "end_time": [ids[1], ids[2], ids[0]],
        "next_run_date": by_due,
    }

    for field, order in expected.items():
        rising = await client.crons.search(metadata=tag, sort_by=field, sort_order="asc")
        falling = await client.crons.search(metadata=tag, sort_by=field, sort_order="desc")
        assert (field, [cron["cron_id"] for cron in rising]) == (field, order)
        assert (field, [cron["cron_id"] for cron in falling]) == (field, order[::-1])
    page = await client.crons.search(metadata=tag, sort_by="created_at", sort_order="asc", limit=1, offset=1)
    async with httpx.AsyncClient(base_url=url) as http:
        answer = await http.post("/runs/crons/search", json={"metadata": tag, "limit": 2})
    assert [cron["cron_id"] for cron in page] == [ids[1]]
    assert answer.headers["x-pagination-next"] == "2"
    assert await client.crons.count(metadata=tag) == 3
    assert await client.crons.count(metadata=tag, assistant_id="chat") == 0
    assert await client.crons.count(metadata=tag, thread_id=thread_id) == 0
    for cron_id in ids:
        await client.crons.delete(cron_id)


async def test_each_field_of_a_cron_can_be_asked_for(client: LangGraphClient) -> None:
    tag = {"tag": str(uuid4())}
    made: Any = await client.crons.create("steps", schedule=YEARLY, metadata=tag)
    found: Any = await client.crons.search(metadata=tag)
    [whole] = found

    for field in (set(made) - {"now"}) & set(whole):
        chosen: Any = [field]
        assert await client.crons.search(metadata=tag, select=chosen) == [{field: whole[field]}]
    assert whole["assistant_id"] == made["assistant_id"]
    await client.crons.delete(made["cron_id"])
