"""2. The stock client works unchanged.

langgraph-sdk talks to the service as it would to any LangGraph server: it waits, streams, runs in the
background, and picks a dropped stream up where it broke off.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from e2e.harness.kubectl import answers
from e2e.harness.report import Report
from e2e.story import NAME, Story

QUESTION: dict[str, Any] = {
    "messages": [{"role": "user", "content": "My order has not arrived."}],
    "steps": 3,
    "step_seconds": 0.3,
}
STEPS_DONE = [0, 1, 2]


@pytest.fixture(scope="module")
def url(story: Story) -> Iterator[str]:
    """The service as seen from this machine."""
    with story.kubectl.forwarded(f"service/{NAME}", 8000) as forwarded:
        story.kubectl.until("an answer through the port-forward", lambda: answers(f"{forwarded}/ok"), 180)
        yield forwarded


@pytest.fixture
async def client(url: str) -> AsyncIterator[LangGraphClient]:
    """The stock client."""
    async with get_client(url=url) as client:
        yield client


async def test_waits_for_an_answer(client: LangGraphClient) -> None:
    thread = await client.threads.create()

    values = await client.runs.wait(thread["thread_id"], "agent", input=QUESTION)

    assert values["done"] == STEPS_DONE
    assert "3 steps" in values["messages"][-1]["content"]


async def test_streams_each_step_as_it_ends(client: LangGraphClient) -> None:
    thread = await client.threads.create()

    events = [
        part
        async for part in client.runs.stream(
            thread["thread_id"], "agent", input=QUESTION, stream_mode="updates"
        )
    ]

    nodes = [next(iter(part.data)) for part in events if part.event == "updates"]
    assert nodes == ["begin", "think", "think", "think", "answer"]


async def test_runs_in_the_background_and_keeps_the_session(client: LangGraphClient) -> None:
    thread = await client.threads.create()

    run = await client.runs.create(thread["thread_id"], "agent", input=QUESTION)
    await client.runs.join(thread["thread_id"], run["run_id"])

    assert (await client.runs.get(thread["thread_id"], run["run_id"]))["status"] == "success"
    state = await client.threads.get_state(thread["thread_id"])
    assert state["values"]["done"] == STEPS_DONE
    assert len(await client.threads.get_history(thread["thread_id"], limit=100)) >= len(STEPS_DONE)


async def test_a_dropped_stream_goes_on_without_a_gap(
    client: LangGraphClient, url: str, report: Report
) -> None:
    thread = await client.threads.create()
    path = f"/threads/{thread['thread_id']}/runs"
    run = await client.runs.create(
        thread["thread_id"], "agent", input=QUESTION, stream_mode="updates", stream_resumable=True
    )

    # The connection breaks after two events: it is closed from this side, in the middle of the run.
    broken = await _events(url, f"{path}/{run['run_id']}/stream", last_event_id="-1", stop_after=2)
    rest = await _events(url, f"{path}/{run['run_id']}/stream", last_event_id=broken[-1][0])
    whole = await _events(url, f"{path}/{run['run_id']}/stream", last_event_id="-1")

    missing = {identity for identity, _ in whole} - {identity for identity, _ in broken + rest}
    report.add("events of a stream that broke off, missing after it went on", len(missing), "", "0")
    assert [identity for identity, _ in whole] == [identity for identity, _ in broken + rest]
    assert len({identity for identity, _ in whole}) == len(whole)


async def _events(
    url: str, path: str, *, last_event_id: str, stop_after: int | None = None
) -> list[tuple[str, str]]:
    """Id and kind of each event. Read by hand: the client would hide that the connection broke."""
    events: list[tuple[str, str]] = []
    identity = kind = ""
    async with (
        httpx.AsyncClient(base_url=url, timeout=60) as client,
        client.stream("GET", path, headers={"Last-Event-ID": last_event_id}) as answer,
    ):
        answer.raise_for_status()
        async for line in answer.aiter_lines():
            if line.startswith("id:"):
                identity = line[3:].strip()
            elif line.startswith("event:"):
                kind = line[6:].strip()
            elif not line and kind:
                # The closing event has no id of its own.
                if identity:
                    events.append((identity, kind))
                identity = kind = ""
                if len(events) == stop_after:
                    break
    return events
