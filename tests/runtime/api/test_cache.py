"""What the cache reports over HTTP, what empties it, and who may."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx
import pytest
from api_replicas import Replica, open_replica

from lgs_runtime.cache.shared import SharedCacheRefused
from lgs_runtime.graphs.manifest import GraphSpec
from lgs_runtime.server import drain
from lgs_runtime.settings import Settings
from support.ports import PATIENCE_SECONDS
from support.waiting import until

ALICE = {"Authorization": "Bearer alice-token"}
BOB = {"Authorization": "Bearer bob-token"}
NODE = "cached/look_up"
FUNCTION = "api_cached.price"


@pytest.fixture
def alone(alone: Settings) -> Settings:
    """A service with the graph that caches."""
    return replace(alone, graphs={"cached": GraphSpec("api_cached:graph")})


async def asked(http: httpx.AsyncClient, question: str, headers: Mapping[str, str] | None = None) -> Any:
    """What the graph that caches answers."""
    body = {"assistant_id": "cached", "input": {"question": question}}
    answer = await http.post("/runs/wait", json=body, headers=headers)
    assert answer.is_success, answer.text
    return answer.json()["answer"]


async def test_statistics_tell_of_nodes_and_functions(alone: Settings) -> None:
    async with open_replica(alone) as replica, httpx.AsyncClient(base_url=replica.url) as http:
        await asked(http, "a")
        if alone.redis_uri is not None:
            # As it begins to hear of changes it drops its copies of what is shared.
            await until(lambda: replica.services.cache.changes)
        for question in ("a", "b"):
            await asked(http, question)
        told = (await http.get("/cache/stats")).json()
        metrics = (await http.get("/metrics")).text

    node, function = told["namespaces"][NODE], told["namespaces"][FUNCTION]
    assert (node["hits"], node["misses"], node["sets"], node["hit_rate"]) == (1, 2, 2, 1 / 3)
    assert (function["hits"], function["misses"], function["hit_rate"]) == (1, 1, 0.5)
    assert told["total"]["misses"] == 3
    assert told["redis"] == ("none" if alone.redis_uri is None else "up")
    assert told["memory"]["entries"] == 3
    assert f'lgs_cache_operations_total{{namespace="{NODE}",result="hit"}} 1.0' in metrics
    assert f'lgs_cache_operations_total{{namespace="{FUNCTION}",result="miss"}} 1.0' in metrics
    assert "lgs_cache_memory_entries 3.0" in metrics


async def test_a_replica_tells_what_it_has_learned_and_computes_nothing_ahead_once_it_drains(
    alone: Settings,
) -> None:
    async with open_replica(alone) as replica, httpx.AsyncClient(base_url=replica.url) as http:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (told := (await http.get("/cache/stats")).json()["learned"])["hot"] < 1:
                await asked(http, "a")
        await drain(replica.services)
        drained = replica.services.cache.may_refresh

    assert told.keys() == {"hot", "ahead", "ttl_factors", "tuned"}
    assert not drained


async def test_a_namespace_is_emptied_without_the_others(alone: Settings) -> None:
    async with open_replica(alone) as replica, httpx.AsyncClient(base_url=replica.url) as http:
        before = await asked(http, "a")
        emptied = await http.delete("/cache", params={"namespace": NODE})
        after = await asked(http, "a")
        told = (await http.get("/cache/stats")).json()["namespaces"]

    assert emptied.json() == {"deleted": 1}
    assert after != before
    assert (told[NODE]["deletes"], told[FUNCTION]["hits"]) == (1, 1)


async def test_what_one_replica_empties_the_others_forget(alone: Settings) -> None:
    if alone.redis_uri is None:
        pytest.skip("replicas share a cache through Redis")
    async with (
        open_replica(alone) as one,
        open_replica(replace(alone, replica_id="b")) as other,
        httpx.AsyncClient(base_url=one.url) as here,
        httpx.AsyncClient(base_url=other.url) as there,
    ):
        await asked(there, "a")
        emptied = (await here.delete("/cache")).json()
        other.services.cache.memory.clear()
        before = other.services.cache.statistics.of(NODE).misses
        await asked(there, "a")
        missed = other.services.cache.statistics.of(NODE).misses - before

    assert (emptied, missed) == ({"deleted": 2}, 1)


async def test_a_name_that_is_none_is_refused(url: str) -> None:
    async with httpx.AsyncClient(base_url=url) as http:
        answers = [await http.delete("/cache", params={"namespace": name}) for name in ("", "a" * 600)]
        unknown = await http.delete("/cache", params={"namespace": "nobody's"})
        told = (await http.get("/cache/stats")).json()["namespaces"]

    assert [answer.status_code for answer in answers] == [422, 422]
    assert (unknown.json(), "nobody's" in told) == ({"deleted": 0}, False)


async def test_what_would_forget_more_than_was_meant_forgets_nothing(alone: Settings) -> None:
    rules = {
        "?name=a": "name: must be namespace, the only parameter there is",
        f"?namespace={NODE}&namespace=b": f"namespace: {NODE}, b: must be one; ask for each",
        "?namespace=(others)": "namespace: (others): must be a node or a function",
        "": "body: must be empty: what is forgotten is named by ?namespace=",
    }

    async with open_replica(alone) as replica, httpx.AsyncClient(base_url=replica.url) as http:
        before = await asked(http, "a")
        refused = [
            await http.request("DELETE", f"/cache{query}", json=None if query else {"namespace": NODE})
            for query in rules
        ]
        after = await asked(http, "a")

    assert [answer.status_code for answer in refused] == [422] * len(rules)
    assert all(rule in answer.json()["detail"] for rule, answer in zip(rules.values(), refused, strict=True))
    assert after == before


async def test_what_redis_did_not_forget_is_an_error_that_passes(
    alone: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    if alone.redis_uri is None:
        pytest.skip("without a Redis there is nothing else to forget")

    async def refuses(_: str) -> int:
        raise SharedCacheRefused("no permission")

    async with open_replica(alone) as replica, httpx.AsyncClient(base_url=replica.url) as http:
        await asked(http, "a")
        replicas = replica.services.cache._replicas
        assert replicas is not None
        with monkeypatch.context() as patched:
            patched.setattr(replicas._shared, "clear", refuses)
            answer = await http.delete("/cache")

        async def forgets() -> bool:
            return (await http.delete("/cache")).status_code == 200

        await until(forgets)

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert "Redis did not answer for all of it, and keeps what it has" in answer.json()["detail"]


async def test_users_are_let_in_by_a_handler_that_names_the_cache_alone(alone: Settings) -> None:
    settings = replace(alone, auth_path="api_auth:cache_keepers")
    async with open_replica(settings) as replica, httpx.AsyncClient(base_url=replica.url) as http:
        answers = [
            await http.request(method, path, headers=who)
            for method, path in (("GET", "/cache/stats"), ("DELETE", "/cache"))
            for who in (ALICE, BOB, {})
        ]

    assert [answer.status_code for answer in answers] == [200, 403, 401] * 2


async def test_a_handler_for_everything_lets_nobody_in(guarded: Replica) -> None:
    async with httpx.AsyncClient(base_url=guarded.url) as http:
        answer = await http.delete("/cache", headers=ALICE)

    assert answer.status_code == 403
    assert '@auth.on(resources="cache")' in answer.json()["detail"]


async def test_users_have_results_of_their_own_where_a_function_says_so(alone: Settings) -> None:
    settings = replace(alone, auth_path="api_auth:tokens")
    async with open_replica(settings) as replica, httpx.AsyncClient(base_url=replica.url) as http:
        found = [await asked(http, "mine", who) for who in (ALICE, BOB, ALICE)]

    assert found == ["of alice", "of bob", "of alice"]
