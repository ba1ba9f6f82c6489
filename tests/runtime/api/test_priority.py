"""`priority` of langgraph.json: the application's own function says where a thread's runs stand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import api_priorities
import httpx
import pytest
from api_replicas import Replica, open_replica

from lgs_runtime.background.cron_scheduler import CronScheduler
from lgs_runtime.errors import ConfigError
from lgs_runtime.graphs.priority import PriorityHandler
from lgs_runtime.model import AssignedPriority
from lgs_runtime.settings import Settings
from lgs_runtime.settings_loader import load_settings
from lgs_runtime.storage.queries import RunQuery


@pytest.fixture
async def planned(alone: Settings) -> AsyncIterator[Replica]:
    """A replica whose runs are placed by their plan."""
    api_priorities.seen.clear()
    async with open_replica(replace(alone, priority_path="api_priorities:by_plan")) as replica:
        yield replica


async def start(replica: Replica, thread_id: str | None, plan: str | None = None, **more: Any) -> Any:
    return await replica.client.runs.create(
        thread_id, "steps", input={}, metadata={"plan": plan} if plan else None, **more
    )


async def test_the_function_places_the_first_run_of_a_thread_and_the_later_ones_stand_there_too(
    planned: Replica,
) -> None:
    thread = await planned.client.threads.create(metadata={"kind": "chat"})

    first = await start(planned, thread["thread_id"], "premium")
    second = await start(planned, thread["thread_id"], "batch")

    assert (first["priority"], second["priority"]) == ("high", "high")
    (asked,) = api_priorities.seen
    assert asked.thread_id == thread["thread_id"] and asked.thread_metadata["kind"] == "chat"
    assert (asked.graph_id, asked.cron_id, asked.run_metadata["plan"]) == ("steps", None, "premium")
    assert (asked.user.identity, list(asked.permissions)) == ("", [])
    stored = await planned.services.storage.threads.get(thread["thread_id"])
    assert stored.assigned_priority == AssignedPriority(-3, "org-1")


async def test_a_run_without_a_thread_is_placed_by_itself(planned: Replica) -> None:
    runs = [await start(planned, None, plan) for plan in ("batch", "premium", None)]

    assert [run["priority"] for run in runs] == ["low", "high", "normal"]
    assert [asked.thread_id for asked in api_priorities.seen] == [None] * 3


async def test_a_thread_that_is_made_for_its_run_is_settled_with_it(planned: Replica) -> None:
    thread_id = str(uuid4())

    run = await start(planned, thread_id, "batch", if_not_exists="create")

    assert run["priority"] == "low"
    assert (await planned.services.storage.threads.get(thread_id)).assigned_priority == AssignedPriority(
        4, "org-2"
    )


async def test_the_word_of_the_client_counts_for_its_run_and_not_for_the_thread(planned: Replica) -> None:
    thread_id = str(uuid4())

    urgent = await start(
        planned, thread_id, "batch", if_not_exists="create", headers={"X-LGS-Priority": "high"}
    )
    next_one = await start(planned, thread_id)

    assert (urgent["priority"], next_one["priority"]) == ("high", "low")


async def test_what_the_data_of_a_request_hints_at_does_not_count_beside_the_function(
    planned: Replica,
) -> None:
    run = await start(planned, None, config={"configurable": {"priority": "high"}})

    assert run["priority"] == "normal"


@pytest.mark.parametrize(
    ("plan", "status", "said"),
    [
        ("broken", 500, "the assign function failed: RuntimeError: no such plan"),
        ("huge", 500, "ValueError: priority: 9: must be a whole number from -5 to 5"),
        ("long", 500, "must be a text of at most 256 characters"),
        ("list", 500, "TypeError: it returned a list; it must return a dict or None"),
        ("odd", 500, "prio: unknown: must be one of priority, fairness_group"),
        ("refused", 402, "pay first"),
    ],
)
async def test_a_function_that_fails_refuses_the_run_and_nothing_is_stored(
    planned: Replica, plan: str, status: int, said: str
) -> None:
    thread_id = (await planned.client.threads.create())["thread_id"]
    body = {"assistant_id": "steps", "input": {}, "metadata": {"plan": plan}}

    async with httpx.AsyncClient(base_url=planned.url, timeout=60) as http:
        answer = await http.post(f"/threads/{thread_id}/runs", json=body)

    assert answer.status_code == status and said in answer.json()["detail"]
    assert await planned.services.storage.runs.of_thread(thread_id, RunQuery()) == []
    assert (await planned.client.threads.get(thread_id))["status"] == "idle"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("api_priorities:empty", "must have a function that is registered with @priority.assign"),
        ("api_priorities:seen", "it is a list; it must be a langgraph_sdk.Priority object"),
        ("api_priorities:nothing", "has no variable nothing"),
        ("./nowhere.py:priority", "must be a file that exists"),
    ],
)
def test_an_object_that_can_not_work_is_told_at_start(tmp_path: Path, path: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        PriorityHandler.load(path, tmp_path, ())

    assert said in str(raised.value)


def test_the_file_names_the_object(tmp_path: Path) -> None:
    file = tmp_path / "langgraph.json"
    file.write_text('{"graphs": {"a": "./a.py:a"}, "priority": {"path": "./p.py:priority"}}')

    assert load_settings({"LGS_CONFIG": str(file)}).priority_path == "./p.py:priority"

    file.write_text('{"graphs": {"a": "./a.py:a"}, "priority": {"path": "p"}}')
    with pytest.raises(ConfigError, match=r"priority\.path: 'p': must be path:variable"):
        load_settings({"LGS_CONFIG": str(file)})


async def test_a_cron_tells_the_function_which_it_is(planned: Replica) -> None:
    cron = await planned.client.crons.create("steps", schedule="0 0 1 1 *", input={})
    due = replace(
        await planned.services.storage.crons.get(cron["cron_id"]),
        next_run_date=await planned.services.storage.now(),
    )

    made = await CronScheduler(planned.services)._make(due)

    assert made and [asked.cron_id for asked in api_priorities.seen] == [cron["cron_id"]]
