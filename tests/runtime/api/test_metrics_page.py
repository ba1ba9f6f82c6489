"""`/metrics`, as Prometheus reads it: what models took, and what an application counts by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest.mock import ANY

import api_traced  # noqa: F401 - its graph is served
import httpx
import pytest
from api_replicas import Replica, open_replica
from prometheus_client import Counter
from prometheus_client.parser import text_string_to_metric_families

from lgs_operator.scaling.exposition import parse
from lgs_operator.scaling.scrape import METRICS_PATH, USAGE_PATH
from lgs_runtime.graphs.manifest import GraphSpec
from lgs_runtime.settings import Settings
from support import prometheus
from support.waiting import until

ORDERS = Counter("orders_taken", "Of a shop, counted by its graph.", ["shop"])


@pytest.fixture
def alone(alone: Settings) -> Settings:
    """A service with an agent that calls its model twice."""
    return replace(alone, graphs={"agent": GraphSpec("api_traced:agent")})


async def page_of(replica: Replica, path: str = "/metrics") -> str:
    async with httpx.AsyncClient(base_url=replica.url) as http:
        answer = await http.get(path)
    assert answer.status_code == 200, answer.text
    return answer.text


def values_in(page: str) -> dict[tuple[str, ...], float]:
    """The samples of a page, by name and labels."""
    families = text_string_to_metric_families(page)
    return {(each.name, *sorted(each.labels.values())): each.value for f in families for each in f.samples}


async def test_the_page_says_what_models_took_and_what_the_application_counts(alone: Settings) -> None:
    ORDERS.labels("north").inc()
    asks: Any = {"messages": [{"role": "user", "content": "trace"}]}
    async with open_replica(alone) as opened:
        await opened.client.runs.wait(None, "agent", input=asks)
        await until(lambda: not opened.services.worker.running())
        page = await page_of(opened)
        of_the_autoscaler, with_usage = await page_of(opened, METRICS_PATH), await page_of(opened, USAGE_PATH)

    values = values_in(page)
    assert values["lgs_model_calls_total", "agent", "stub-1", "success"] == 2
    assert values["lgs_model_tokens_total", "agent", "input", "stub-1"] == 14
    assert values["lgs_model_tokens_total", "agent", "output", "stub-1"] == 10
    assert values["orders_taken_total", "north"] >= 1
    assert "orders_taken" not in of_the_autoscaler
    whole = replace(parse(page, "a", 0.0), loop_lag=ANY)
    assert whole.tokens == 24
    assert parse(with_usage, "a", 0.0) == whole
    unasked = {"cache_hits": None, "cache_misses": None, "tokens": None}
    assert parse(of_the_autoscaler, "a", 0.0) == replace(whole, **unasked)


async def test_the_page_says_which_node_of_which_graph_raised_what(alone: Settings) -> None:
    graphs = {name: GraphSpec(f"api_graphs:{name}") for name in ("broken", "steps", "nested")}
    async with open_replica(replace(alone, graphs=graphs)) as opened:
        for name in graphs:
            await opened.client.runs.wait(None, name, input={"text": "x"}, raise_error=False)
        values = values_in(await page_of(opened))

    assert values["lgs_graph_runs_total", "steps", "success"] == 1
    assert values["lgs_graph_runs_total", "broken", "error"] == 1
    assert values["lgs_graph_errors_total", "ValueError", "broken", "fails"] == 1
    assert values["lgs_graph_run_seconds_count", "steps"] == 1
    assert values["lgs_runs_finished_total", "success"] == 2


async def test_the_page_counts_requests_by_the_route_that_is_declared_and_names_no_path_that_a_client_chose(
    alone: Settings,
) -> None:
    async with open_replica(alone) as opened, httpx.AsyncClient(base_url=opened.url) as http:
        made = await http.post("/threads", json={})
        await http.get(f"/threads/{made.json()['thread_id']}")
        await http.get("/threads/thread-of-a-client")
        await http.get("/secret-of-a-client")
        odd = await http.request("PROPFIND", "/threads")
        page = await page_of(opened)

    values = values_in(page)
    assert values["lgs_http_requests_total", "/threads", "200", "POST"] == 1
    assert values["lgs_http_requests_total", "/threads/{thread_id}", "200", "GET"] == 1
    assert values["lgs_http_requests_total", "/threads/{thread_id}", "422", "GET"] == 1
    assert values["lgs_http_requests_total", "404", "GET", "other"] == 1
    assert values["lgs_http_requests_total", str(odd.status_code), "other", "other"] == 1
    assert values["lgs_http_request_seconds_count", "/threads/{thread_id}"] == 2
    assert values["lgs_http_requests_in_progress",] == 1, "the page itself"
    assert "of-a-client" not in page


@prometheus.needed
async def test_prometheus_own_tool_finds_nothing_wrong_with_the_page(alone: Settings) -> None:
    asks: Any = {"messages": [{"role": "user", "content": "trace"}]}
    async with open_replica(alone) as opened:
        await opened.client.runs.wait(None, "agent", input=asks)
        page = await page_of(opened)

    assert prometheus.complaints("# TYPE odd counter\nodd 1\n") != []
    assert prometheus.complaints(page) == []
