"""A budget that is used up: new runs are answered 429, and those that were acknowledged go on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import api_traced  # noqa: F401 - its graph is served
import httpx
import pytest
from api_replicas import Replica, open_replica

from lgs_runtime.budgets.limits import Budgets, Limit
from lgs_runtime.graphs.manifest import GraphSpec
from lgs_runtime.model import Page
from lgs_runtime.settings import Settings
from runtime.api.test_mcp_questions import call
from support.waiting import until

ASKS: Any = {"messages": [{"role": "user", "content": "trace"}]}
OF_A_RUN = 24
"""Tokens."""


@pytest.fixture
def budgeted(alone: Settings) -> Callable[..., Settings]:
    """A service with an agent that calls its model twice, and these budgets."""

    def made(*limits: Limit, **more: Any) -> Settings:
        graphs = {"agent": GraphSpec("api_traced:agent")}
        return replace(alone, graphs=graphs, budgets=Budgets(limits), **more)

    return made


async def asked(replica: Replica, path: str = "/runs/wait", **more: Any) -> httpx.Response:
    async with httpx.AsyncClient(base_url=replica.url) as http:
        return await http.post(path, json={"assistant_id": "agent", "input": ASKS}, **more)


async def written(replica: Replica) -> None:
    ledger = replica.services.ledger
    assert ledger is not None
    await ledger.turn()


async def test_a_run_that_comes_when_it_is_used_up_is_refused_as_others_are(
    budgeted: Callable[..., Settings],
) -> None:
    settings = budgeted(Limit(OF_A_RUN, "tokens", 3600))
    async with open_replica(settings) as opened:
        storage = opened.services.storage
        began = (await storage.now()).timestamp()
        first = await asked(opened)
        refused = [await asked(opened, path) for path in ("/runs/wait", "/runs", "/runs/stream")]
        async with httpx.AsyncClient(base_url=opened.url) as http:
            batch = await http.post("/runs/batch", json=[{"assistant_id": "agent", "input": ASKS}] * 2)
            made = (await http.post("/threads", json={})).json()["thread_id"]
            on_thread = await http.post(
                f"/threads/{made}/runs", json={"assistant_id": "agent", "input": ASKS}
            )
            page = (await http.get("/metrics")).text
        ended = (await storage.now()).timestamp()

    # What was spent counts to the end of its minute, and for an hour more.
    soonest, latest = (each // 60 * 60 + 60 + 3600 for each in (began, ended))
    assert first.status_code == 200
    for each in (*refused, batch, on_thread):
        assert each.status_code == 429
        assert soonest - ended <= int(each.headers["retry-after"]) <= latest - began + 1
        assert list(each.json()) == ["detail"]
        assert each.json()["detail"].startswith(
            "budget tokens-per-hour is used up: 24 may be spent; try again in"
        )
    assert 'lgs_budget_used{budget="tokens-per-hour"} 24.0' in page
    assert 'lgs_budget_left{budget="tokens-per-hour"} 0.0' in page
    assert 'lgs_budget_refused_total{budget="tokens-per-hour"} 6.0' in page
    assert 'lgs_runs_rejected_total{priority="normal"} 0.0' in page, "more replicas would not help"


async def test_it_is_one_budget_for_all_replicas_and_outlives_them(budgeted: Callable[..., Settings]) -> None:
    settings = budgeted(Limit(2 * OF_A_RUN, "tokens", 86400))
    async with open_replica(settings) as opened:
        assert (await asked(opened)).status_code == 200
    async with (
        open_replica(settings) as again,
        open_replica(replace(settings, replica_id="b")) as other,
    ):
        assert (await asked(again)).status_code == 200
        await written(again)
        await written(other)
        answers = [await asked(each) for each in (again, other)]

    assert [each.status_code for each in answers] == [429, 429]


async def test_what_was_acknowledged_goes_on_when_it_is_used_up(budgeted: Callable[..., Settings]) -> None:
    """All of them are stored before any has spent anything, and executed one after the other."""
    settings = budgeted(Limit(OF_A_RUN, "tokens", 3600), concurrency=1)
    async with open_replica(settings) as opened:
        client = opened.client
        asks: Any = {"assistant_id": "agent", "input": ASKS, "on_completion": "keep"}
        runs: Any = await client.runs.create_batch([asks] * 3)
        for run in runs:
            await client.runs.join(run["thread_id"], run["run_id"])
        stored = [await client.runs.get(run["thread_id"], run["run_id"]) for run in runs]
        late = await asked(opened)

    assert [each["status"] for each in stored] == ["success"] * 3
    assert late.status_code == 429


async def test_each_user_has_a_budget_of_their_own(budgeted: Callable[..., Settings]) -> None:
    settings = budgeted(Limit(OF_A_RUN, "tokens", 3600, by_user=True), auth_path="api_auth:owners")
    async with open_replica(settings) as opened:

        async def by(user: str) -> int:
            headers = {"Authorization": f"Bearer {user}-token"}
            return (await asked(opened, headers=headers)).status_code

        codes = [await by("alice"), await by("alice"), await by("bob"), await by("bob")]

    assert codes == [200, 429, 200, 429]


async def test_a_question_over_mcp_waits_for_as_long_as_its_answer_is_told_to(
    budgeted: Callable[..., Settings],
) -> None:
    """Nobody answers a question within the hour that it waits if the budget comes back after a day."""
    settings = budgeted(Limit(OF_A_RUN, "tokens", 86400))
    graphs = {**settings.graphs, "asks": GraphSpec("api_graphs:asks")}
    async with open_replica(replace(settings, graphs=graphs)) as opened:
        question = (await call(opened.url, "asks"))["result"]
        assert (await asked(opened)).status_code == 200
        given = {each: {"action": "accept", "content": {"answer": "a"}} for each in question["inputRequests"]}
        answer = {"requestState": question["requestState"], "inputResponses": given}
        refused = [await call(opened.url, "asks", answer) for _ in range(2)]
        thread: Any = await opened.services.storage.threads.get(question["requestState"])
        left = thread.expires_at - await opened.services.storage.now()
        audit: Any = await opened.services.storage.audit.of_thread(thread.thread_id, Page(limit=50))

    assert all("budget tokens-per-day is used up" in each["error"]["message"] for each in refused)
    assert thread.status == "interrupted"
    assert left > timedelta(days=1)
    assert [each.what for each in audit].count("thread.updated") == 1, "not once more for each answer"


async def test_a_cron_waits_for_its_budget(budgeted: Callable[..., Settings]) -> None:
    settings = budgeted(Limit(OF_A_RUN, "tokens", 3600))
    async with open_replica(settings) as opened:
        assert (await asked(opened)).status_code == 200
        ledger = opened.services.ledger
        assert ledger is not None
        cron: Any = await opened.client.crons.create("agent", schedule="0 0 1 1 *", input=ASKS)
        past = await opened.services.storage.now() - timedelta(minutes=5)
        await opened.services.storage.crons.update(cron["cron_id"], {"next_run_date": past})
        await until(lambda: ledger.refused["tokens-per-hour"], "the cron comes, and is told to wait")
        crons = await opened.client.crons.search()

    assert [datetime.fromisoformat(each["next_run_date"]) for each in crons] == [past], "it is due as before"


async def test_without_a_budget_there_is_nothing_of_it(alone: Settings) -> None:
    async with open_replica(replace(alone, graphs={"agent": GraphSpec("api_traced:agent")})) as opened:
        assert (await asked(opened)).status_code == 200
        async with httpx.AsyncClient(base_url=opened.url) as http:
            page = (await http.get("/metrics")).text
        assert opened.services.ledger is None

    assert "lgs_budget" not in page
