"""An error is the database's failure only where it came from our own connection to it: what an application's
own services raise is the application's, of whatever type it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import api_foreign_failures as application
import httpx
import psycopg
import pytest
from api_replicas import Replica, open_replica

from lgs_runtime.checkpoint.options import parse_checkpointer
from lgs_runtime.errors import ConfigError
from lgs_runtime.graphs.http_section import HttpSection
from lgs_runtime.graphs.manifest import GraphSpec
from lgs_runtime.settings import Settings
from lgs_runtime.store.options import parse_store

pytestmark = pytest.mark.usefixtures("unhurried")
KINDS = sorted(application.ERRORS)
INDEX = {"index": {"dims": 3, "embed": "./meaning.py:embed", "fields": ["text"]}}
GRAPHS = {
    name: GraphSpec(f"api_foreign_failures:{name}") for name in ("failing", "failing_in_a_thread", "steady")
}


@pytest.fixture
def with_graphs(alone: Settings) -> Settings:
    """A service of the graphs that fail."""
    return replace(alone, graphs=GRAPHS)


@pytest.fixture
async def searching(with_graphs: Settings) -> AsyncIterator[Replica]:
    """A replica whose store searches by meaning."""
    (with_graphs.source / "meaning.py").write_text("from api_foreign_failures import embed\n")
    try:
        async with open_replica(replace(with_graphs, store=parse_store(INDEX, "store"))) as replica:
            yield replica
    except ConfigError as missing:
        assert "pgvector" in str(missing)
        pytest.skip("this PostgreSQL has no pgvector")


async def ended(replica: Replica, graph: str, asked: dict[str, str]) -> Any:
    """The run's record and how often its node was executed."""
    application.executed.clear()
    client = replica.client
    thread = (await client.threads.create())["thread_id"]
    run = await client.runs.create(thread, graph, input=asked)
    await client.runs.join(thread, run["run_id"])
    found: Any = await client.runs.get(thread, run["run_id"])
    state: Any = await client.threads.get(thread)
    said = state["error"]
    return found["status"], None if said is None else str(said), len(application.executed)


@pytest.mark.parametrize("graph", ["failing", "failing_in_a_thread"])
async def test_a_node_that_raises_what_databases_raise_ends_its_run_at_once(
    with_graphs: Settings, graph: str
) -> None:
    async with open_replica(with_graphs) as replica:
        ends = {kind: await ended(replica, graph, {"kind": kind, "through": ""}) for kind in KINDS}

    assert {kind: (status, times) for kind, (status, _, times) in ends.items()} == dict.fromkeys(
        KINDS, ("error", 1)
    )
    assert all(application.SAID in error for _, error, _ in ends.values())


@pytest.mark.parametrize(
    ("graph", "through"), [("failing", "put"), ("failing", "search"), ("failing_in_a_thread", "put")]
)
async def test_an_embedding_provider_that_fails_inside_the_store_ends_the_run_at_once_with_its_words(
    searching: Replica, graph: str, through: str
) -> None:
    ends = [await ended(searching, graph, {"kind": kind, "through": through}) for kind in KINDS]

    assert [(status, times) for status, _, times in ends] == [("error", 1)] * len(KINDS)
    assert all(application.SAID in error for _, error, _ in ends)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_store_says_by_a_502_what_the_embedding_provider_said(
    searching: Replica, kind: str
) -> None:
    async with httpx.AsyncClient(base_url=searching.url, timeout=60) as http:
        refused = [
            await http.post("/store/items/search", json={"namespace_prefix": ["n"], "query": kind}),
            await http.put("/store/items", json={"namespace": ["n"], "key": "k", "value": {"text": kind}}),
        ]
        after = await http.put("/store/items", json={"namespace": ["n"], "key": "k", "value": {"text": ""}})
        kept = await http.get("/store/items", params={"namespace": "n", "key": "k"})

    assert [answer.status_code for answer in refused] == [502, 502]
    assert all(answer.json()["detail"].startswith("store.index.embed: ") for answer in refused)
    assert all(application.SAID in answer.json()["detail"] for answer in refused)
    assert (after.status_code, kept.json()["value"]) == (204, {"text": ""})


async def test_the_applications_own_store_that_is_away_is_told_with_its_words(alone: Settings) -> None:
    store = parse_store({"path": "api_foreign_failures:FailingStore"}, "store")
    async with (
        open_replica(replace(alone, graphs=GRAPHS, store=store)) as replica,
        httpx.AsyncClient(base_url=replica.url, timeout=60) as http,
    ):
        refused = await http.post("/store/items/search", json={"namespace_prefix": ["n"]})
        status, error, times = await ended(replica, "failing", {"kind": "value", "through": "put"})

    assert refused.status_code == 502
    assert application.SAID in refused.json()["detail"]
    assert (status, times) == ("error", 1)
    assert application.SAID in error


@pytest.mark.parametrize(
    "failure", [ConnectionResetError("cut"), psycopg.OperationalError("cut"), psycopg.errors.AdminShutdown()]
)
async def test_a_run_waits_for_the_database_of_the_applications_own_checkpointer(
    with_graphs: Settings, failure: Exception
) -> None:
    content = {"path": "api_foreign_failures:Unsteady"}
    settings = replace(with_graphs, checkpointer=parse_checkpointer(content, "checkpointer"))
    async with open_replica(settings) as replica:
        application.Unsteady.failures[:] = [failure]
        status, error, _ = await ended(replica, "steady", {})

    assert (status, error, application.Unsteady.failures) == ("success", None, [])


async def test_anything_else_that_the_applications_own_checkpointer_raises_ends_the_run(
    with_graphs: Settings,
) -> None:
    content = {"path": "api_foreign_failures:Unsteady"}
    settings = replace(with_graphs, checkpointer=parse_checkpointer(content, "checkpointer"))
    async with open_replica(settings) as replica:
        application.Unsteady.failures[:] = [KeyError("no such bucket")]
        status, error, _ = await ended(replica, "steady", {})

    assert status == "error" and "no such bucket" in error


@pytest.mark.parametrize("kind", KINDS)
async def test_a_route_of_the_application_that_fails_is_no_outage_of_the_service(
    with_graphs: Settings, kind: str
) -> None:
    settings = replace(with_graphs, http=HttpSection(app="api_foreign_failures:web"))
    async with (
        open_replica(settings) as replica,
        httpx.AsyncClient(base_url=replica.url, timeout=60) as http,
    ):
        failed = await http.get(f"/failing/{kind}")

    assert failed.status_code == 500
    assert "retry-after" not in failed.headers


async def test_who_asks_is_told_500_where_the_database_of_the_authentication_is_away(
    with_graphs: Settings,
) -> None:
    settings = replace(with_graphs, auth_path="api_foreign_failures:owners")
    async with (
        open_replica(settings) as replica,
        httpx.AsyncClient(base_url=replica.url, timeout=60) as http,
    ):
        refused = await http.post("/threads/search", json={})
        ready = await http.get("/ready")

    assert (refused.status_code, ready.status_code) == (500, 200)
    assert "retry-after" not in refused.headers
