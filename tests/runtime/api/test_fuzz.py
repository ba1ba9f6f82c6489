"""Every operation, called with whatever its description lets one think of: none answers 500, all answers are
as described, and afterwards nothing is stuck, leaked or lost.

The examples are drawn with a fixed seed, so that a failure comes back. `LGS_FUZZ_EXAMPLES` asks for more of
them, an operation.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx
import requests
import schemathesis
from api_replicas import Replica, open_replica
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from lgs_runtime.model import Page
from lgs_runtime.services import Services
from lgs_runtime.settings import Settings

EXAMPLES = int(os.environ.get("LGS_FUZZ_EXAMPLES", "12"))
PATIENCE_SECONDS = 30
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@schemathesis.serializer("application/x-ndjson")
def _as_lines(_: object, value: object) -> bytes:
    """Documents are drawn as texts."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


async def stuck(services: Services) -> list[str]:
    """Threads that are neither idle, interrupted nor failed."""
    busy = await services.storage.threads(Page(limit=1000), None, None, None, "busy")
    return [thread.thread_id for thread in busy]


@dataclass(frozen=True)
class Known:
    """What is there, so that not everything that is asked for is missing."""

    thread_id: str
    run_id: str
    cron_id: str
    assistant_id: str
    checkpoint_id: str


async def known(replica: Replica) -> Known:
    """A thread with a history and an ended run, a cron and an assistant. A stream was heard, which opens
    the connection for all that come."""
    assert [part async for part in replica.client.runs.stream(None, "steps", input={"text": "x"})]
    thread_id = (await replica.client.threads.create())["thread_id"]
    run = await replica.client.runs.create(thread_id, "steps", input={"text": "x"})
    await replica.client.runs.join(thread_id, run["run_id"])
    cron = await replica.client.crons.create("steps", schedule="0 0 1 1 *", input={})
    assistant = await replica.client.assistants.create("steps")
    state = await replica.client.threads.get_state(thread_id)
    return Known(
        thread_id,
        run["run_id"],
        cron["cron_id"],
        assistant["assistant_id"],
        str(state["checkpoint"]["checkpoint_id"]),
    )


def aim(case: Case, there: Known, draw: st.DataObject) -> None:
    """Names what is there, most of the time. What would take for ever, or leave this machine, is left out."""
    for name in list(case.path_parameters or ()):
        if hasattr(there, name) and draw.draw(st.integers(0, 3)):
            case.path_parameters[name] = getattr(there, name)
    bodies = case.body if isinstance(case.body, list) else [case.body]
    for body in bodies:
        if not isinstance(body, dict):
            continue
        if "assistant_id" in body and draw.draw(st.integers(0, 3)):
            body["assistant_id"] = draw.draw(st.sampled_from(["steps", "asks", there.assistant_id]))
        if "schedule" in body:
            body["schedule"] = draw.draw(st.sampled_from(["0 0 1 1 *", body["schedule"], "* * * * * *", "x"]))
        if isinstance(body.get("webhook"), str):
            body["webhook"] = "http://127.0.0.1:9/"
        if body.get("after_seconds"):
            body["after_seconds"] = 0.01


def ask(case: Case, url: str) -> None:
    """Sends one case and checks the answer. Of a stream, which may never end, only its beginning."""
    told = case.as_transport_kwargs(base_url=url)
    streams = "text/event-stream" in str(case.operation.definition.raw.get("responses", {}).get("200"))
    with requests.request(**told, stream=True, timeout=PATIENCE_SECONDS) as answer:
        if streams and answer.status_code == 200:
            assert answer.headers["content-type"].startswith("text/event-stream")
            next(answer.iter_lines(), None)
            return
        case.validate_response(answer, checks=CHECKS)


def fuzz(url: str, there: Known) -> list[str]:
    """Calls every operation; what was wrong with each that failed."""
    description = schemathesis.openapi.from_url(f"{url}/openapi.json")
    wrong = []
    for found in description.get_all_operations():
        try:
            fuzz_operation(found.ok(), url, there)
        except* (AssertionError, Failure, requests.RequestException) as raised:
            wrong.append(f"{found.ok().label}: {raised.exceptions}")
    return wrong


def fuzz_operation(operation: APIOperation[Any, Any, Any], url: str, there: Known) -> None:
    """Calls one operation with examples that fit its description, and some that don't."""
    modes = st.sampled_from([GenerationMode.POSITIVE, GenerationMode.POSITIVE, GenerationMode.NEGATIVE])

    @seed(4)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def one(data: st.DataObject) -> None:
        case = data.draw(operation.as_strategy(generation_mode=data.draw(modes)))
        aim(case, there, data)
        ask(case, url)

    one()


def tasks() -> Counter[str]:
    """What goes on in this process, by the name of the code."""
    coroutines = (task.get_coro() for task in asyncio.all_tasks())
    return Counter(getattr(each, "__qualname__", type(each).__name__) for each in coroutines)


async def answers_many_at_once(http: httpx.AsyncClient, there: Known) -> bool:
    """More requests at once than there are connections in any pool: a connection that was not given back
    would be missing."""
    paths = ("/threads/{}", "/threads/{}/state", "/store/items?namespace=a&key={}")
    asked = [http.get(path.format(there.thread_id)) for path in paths for _ in range(40)]
    return all(answer.status_code in (200, 404) for answer in await asyncio.gather(*asked))


async def settled(services: Services, before: Counter[str]) -> tuple[list[str], Counter[str]]:
    """The threads that are busy and the tasks that are left when everything has had time to end."""
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await stuck(services) or tasks() - before:
                await asyncio.sleep(0.05)
    return await stuck(services), tasks() - before


async def test_whatever_is_asked_nothing_breaks_or_stays_behind(alone: Settings) -> None:
    async with open_replica(alone) as replica:
        there = await known(replica)
        before = tasks()

        wrong = await asyncio.to_thread(fuzz, replica.url, there)

        assert not wrong, "\n\n".join(wrong)
        async with httpx.AsyncClient(base_url=replica.url, timeout=PATIENCE_SECONDS) as http:
            assert (await http.post("/runs/cancel", json={"status": "all"})).status_code == 204
            assert await answers_many_at_once(http, there)
        assert await settled(replica.services, before) == ([], Counter())
        assert await replica.client.runs.wait(None, "steps", input={"text": "still"})
