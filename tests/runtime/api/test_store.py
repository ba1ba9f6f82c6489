"""The store over HTTP, as the SDK's documentation describes it, with an index and lives of its items."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from api_replicas import Replica, open_replica
from langgraph_sdk.client import LangGraphClient

from lgs_runtime.errors import ConfigError
from lgs_runtime.settings import Settings
from lgs_runtime.store.options import parse_store
from support.waiting import until

PLACE = ("users", "ada")
EMBED = """
def embed(texts):
    return [[float(text.count(letter)) + 0.01 for letter in "abc"] for text in texts]
"""


@pytest.fixture
async def client_of_index(kind: str, alone: Settings) -> AsyncIterator[LangGraphClient]:
    """A client of a service whose store searches by meaning."""
    (alone.source / "meaning.py").write_text(EMBED)
    store = parse_store({"index": {"dims": 3, "embed": "./meaning.py:embed", "fields": ["text"]}}, "store")
    try:
        async with open_replica(replace(alone, store=store)) as opened:
            yield opened.client
    except ConfigError as missing:
        assert "pgvector" in str(missing)
        pytest.skip("this PostgreSQL has no pgvector")


async def test_an_index_finds_by_meaning_and_ranks(client_of_index: LangGraphClient) -> None:
    for key, text in {"x": "aaa", "y": "bbb"}.items():
        await client_of_index.store.put_item(PLACE, key, {"text": text, "kind": "note"})
    await client_of_index.store.put_item(PLACE, "z", {"text": "bbb", "kind": "secret"}, index=False)

    found = await client_of_index.store.search_items(PLACE, query="bb", limit=2)

    assert [item["key"] for item in found["items"]] == ["y", "x"]
    assert found["items"][0]["score"] > found["items"][1]["score"]


async def test_an_item_is_found_by_the_fields_that_it_was_put_with(client_of_index: LangGraphClient) -> None:
    titles = ("users", "titles")
    await client_of_index.store.put_item(titles, "x", {"text": "aaa", "title": "ccc"}, index=["title"])
    await client_of_index.store.put_item(titles, "y", {"text": "bbb", "title": "ccc"})

    found = await client_of_index.store.search_items(titles, query="cc")

    assert [item["key"] for item in found["items"]] == ["x", "y"]
    assert found["items"][0]["score"] > found["items"][1]["score"]


async def test_filters_compare_and_pages_follow(replica: Replica) -> None:
    client = replica.client
    place = ("test", "filters")
    for number in range(5):
        await client.store.put_item(place, f"k{number}", {"n": number, "even": number % 2 == 0})

    exact = await client.store.search_items(place, filter={"even": True})
    above = await client.store.search_items(place, filter={"n": {"$gte": 3}})
    page = await client.store.search_items(place, limit=2, offset=4)

    assert {item["key"] for item in exact["items"]} == {"k0", "k2", "k4"}
    assert {item["key"] for item in above["items"]} == {"k3", "k4"}
    assert len(page["items"]) == 1
    assert all(item["score"] is None for item in above["items"])  # not found by meaning


async def test_an_item_that_is_put_again_is_replaced_and_keeps_its_birth(replica: Replica) -> None:
    client, place = replica.client, ["test", "again"]
    await client.store.put_item(place, "k", {"v": 1})
    first = await client.store.get_item(place, "k")

    await client.store.put_item(place, "k", {"w": 2})

    second = await client.store.get_item(place, "k")
    assert second["value"] == {"w": 2} and second["namespace"] == place
    assert second["updated_at"] >= first["updated_at"]


async def test_namespaces_are_listed_by_prefix_suffix_and_depth(replica: Replica) -> None:
    client = replica.client
    for place in (["names", "a", "x"], ["names", "a", "y"], ["names", "b", "x"]):
        await client.store.put_item(place, "k", {})

    under = await client.store.list_namespaces(prefix=["names", "a"])
    ending = await client.store.list_namespaces(prefix=["names"], suffix=["x"])
    flat = await client.store.list_namespaces(prefix=["names"], max_depth=2)

    assert sorted(under["namespaces"]) == [["names", "a", "x"], ["names", "a", "y"]]
    assert sorted(ending["namespaces"]) == [["names", "a", "x"], ["names", "b", "x"]]
    assert sorted(flat["namespaces"]) == [["names", "a"], ["names", "b"]]


async def test_an_item_lives_as_long_as_it_was_given_and_reading_can_prolong_it(replica: Replica) -> None:
    client, place = replica.client, ["test", "lives"]
    await client.store.put_item(place, "short", {"v": 1}, ttl=0.0005)
    await client.store.put_item(place, "long", {"v": 1}, ttl=60)

    async def gone() -> bool:
        return await client.store.get_item(place, "short", refresh_ttl=False) is None

    await until(gone, "the short life is not over")

    found = await client.store.search_items(place, refresh_ttl=True)
    assert [item["key"] for item in found["items"]] == ["long"]


async def test_a_deleted_item_is_gone(replica: Replica) -> None:
    client, place = replica.client, ["test", "deleted"]
    await client.store.put_item(place, "k", {"v": 1})

    await client.store.delete_item(place, "k")
    await client.store.delete_item(place, "k")

    assert await client.store.get_item(place, "k") is None
