"""What operations on the store may be given, parameter by parameter."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import aiosqlite
import asyncpg
import pytest
from api_replicas import Replica
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import UnprocessableEntityError


@pytest.fixture
def place() -> list[str]:
    """A namespace of the test's own."""
    return ["parameters", uuid4().hex]


def chain(length: int) -> Any:
    """Objects in objects."""
    return {"a": chain(length - 1) if length > 1 else 1}


def keys(found: Any) -> set[str]:
    return {item["key"] for item in found["items"]}


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ({"n": 2}, {"k2"}),
        ({"n": {"$eq": 2}}, {"k2"}),
        ({"n": {"$ne": 2}}, {"k0", "k1", "k3"}),
        ({"n": {"$gt": 2}}, {"k3"}),
        ({"n": {"$gte": 2}}, {"k2", "k3"}),
        ({"n": {"$lt": 1}}, {"k0"}),
        ({"n": {"$lte": 1}}, {"k0", "k1"}),
        ({"n": {"$gte": 1, "$lt": 3}}, {"k1", "k2"}),
        ({"n": {"$gt": 0}, "even": True}, {"k2"}),
        ({"name": {"$ne": "n1"}, "even": False}, {"k3"}),
        ({"name": "n1"}, {"k1"}),
        ({"missing": 1}, set()),
    ],
)
async def test_a_filter_compares(
    client: LangGraphClient, place: list[str], rule: Any, found: set[str]
) -> None:
    for n in range(4):
        await client.store.put_item(place, f"k{n}", {"n": n, "even": n % 2 == 0, "name": f"n{n}"})

    assert keys(await client.store.search_items(place, filter=rule)) == found


ODD: dict[str, Any] = {
    "nine": {"n": 9, "a.b": 1, "it's": 2, 'a "b" c': 3, "": 4, "$ok": 5, "null\x00": "a\x00b"},
    "ten": {"n": 10, "deep": {"x": 1, "y": {"z": [1, 2]}}, "on": "2026-01-01"},
    "hundred": {"n": 100, "a": {"b": 1}, "on": "2026-10-01"},
    "text": {"n": "9", "deep": {"x": 2}, "list": [{"x": 1}]},
    "truth": {"n": True, "deep": [1]},
    "null": {"n": None, "deep": "x"},
    "none": {},
}


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ({"n": {"$gt": 9}}, {"ten", "hundred"}),
        ({"n": {"$gte": 9.0, "$lt": 99.5}}, {"nine", "ten"}),
        ({"n": {"$lte": "9"}}, {"text"}),
        ({"on": {"$gt": "2026-01-01"}}, {"hundred"}),
        ({"n": {"$ne": 9}}, {"ten", "hundred", "text", "truth", "null", "none"}),
        ({"n": {"$ne": None}}, {"nine", "ten", "hundred", "text", "truth"}),
        ({"n": None}, {"null", "none"}),
        ({"n": {"$eq": None}}, {"null", "none"}),
        ({"n": True}, {"truth"}),
        ({"n": 1}, set()),
        ({"n": 9.0}, {"nine"}),
        ({"n": "9"}, {"text"}),
        ({"a.b": 1}, {"nine"}),
        ({"a": {"b": 1}}, {"hundred"}),
        ({"it's": 2}, {"nine"}),
        ({'a "b" c': {"$gt": 2}}, {"nine"}),
        ({"": 4}, {"nine"}),
        ({"$ok": 5}, {"nine"}),
        ({"null\x00": "a\x00b"}, {"nine"}),
        ({"deep": {"x": 1}}, {"ten"}),
        ({"deep": {"x": {"$gte": 1}}}, {"ten", "text"}),
        ({"deep": {"x": {"$ne": 1}}}, {"text"}),
        ({"deep": {"y": {"z": [1, 2]}}}, {"ten"}),
        ({"deep": {"$eq": {"x": 2}}}, {"text"}),
        ({"deep": {"w": None}}, {"ten", "text"}),
        ({"deep": {}}, {"ten", "text"}),
        ({"deep": [1]}, {"truth"}),
        ({"list": [{"x": 1}]}, {"text"}),
    ],
)
async def test_a_filter_takes_any_key_objects_in_objects_and_numbers_as_numbers(
    client: LangGraphClient, place: list[str], rule: Any, found: set[str]
) -> None:
    for key, value in ODD.items():
        await client.store.put_item(place, key, value)

    assert keys(await client.store.search_items(place, filter=rule)) == found


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"n": {"$in": [1]}}, r"Unsupported operator: \$in"),
        ({"deep": {"n": {"$eq": 1, "x": 1}}}, "Unsupported operator: x"),
        ({"n": {"$gt": None}}, r"\$gt: None: must be a number or a text"),
        ({"n": {"$lt": True}}, r"\$lt: True: must be a number or a text"),
        (chain(100), "must be of at most 2000 keys"),
        ({f"k{n}": n for n in range(2_001)}, "must be of at most 2000 keys"),
    ],
)
async def test_a_filter_that_can_not_compare_is_refused(
    client: LangGraphClient, place: list[str], rule: Any, said: str
) -> None:
    with pytest.raises(UnprocessableEntityError, match=said):
        await client.store.search_items(place, filter=rule)


async def test_a_search_is_of_everything_under_a_namespace_page_by_page(
    client: LangGraphClient, place: list[str]
) -> None:
    for n in range(5):
        await client.store.put_item([*place, f"room{n % 2}"], f"k{n}", {"n": n})
    await client.store.put_item([place[0], place[1] + "x"], "other", {})

    pages = [keys(await client.store.search_items(place, limit=2, offset=at)) for at in (0, 2, 4)]

    assert [len(page) for page in pages] == [2, 2, 1]
    assert set.union(*pages) == {f"k{n}" for n in range(5)}
    assert keys(await client.store.search_items([*place, "room1"])) == {"k1", "k3"}


@pytest.mark.parametrize("index", [False, ["text"], None])
async def test_an_item_is_stored_however_it_is_to_be_indexed(
    client: LangGraphClient, place: list[str], index: Any
) -> None:
    await client.store.put_item(place, "k", {"text": "a"}, index=index)

    assert (await client.store.get_item(place, "k"))["value"] == {"text": "a"}


async def ends(replica: Replica, place: list[str], seconds: int | None = None) -> float:
    """How many seconds the item there still lives; first made so many, if given."""
    uri, prefix = replica.services.settings.database_uri, ".".join(place)
    assert uri is not None
    change = "UPDATE store SET expires_at = "
    if uri.startswith("sqlite"):
        async with aiosqlite.connect(uri.removeprefix("sqlite:///") + "-store") as lite:
            if seconds is not None:
                then = f"DATETIME('now', '{seconds} seconds')"
                await lite.execute(f"{change}{then} WHERE prefix = ?", (prefix,))
                await lite.commit()
            left = "SELECT strftime('%s', expires_at) - strftime('%s', 'now') FROM store WHERE prefix = ?"
            async with lite.execute(left, (prefix,)) as rows:
                [[found]] = await rows.fetchall()
            return float(found)
    connection = await asyncpg.connect(uri)
    try:
        if seconds is not None:
            then = f"now() + interval '{seconds} seconds'"
            await connection.execute(f"{change}{then} WHERE prefix = $1", prefix)
        left = "SELECT extract(epoch FROM expires_at - now()) FROM store WHERE prefix = $1"
        return float(await connection.fetchval(left, prefix))
    finally:
        await connection.close()


@pytest.mark.parametrize(("refresh", "prolonged"), [(True, True), (False, False), (None, True)])
async def test_reading_prolongs_a_life_when_asked_to_and_by_itself(
    replica: Replica, place: list[str], refresh: bool | None, prolonged: bool
) -> None:
    store, got, found = replica.client.store, [*place, "got"], [*place, "found"]
    for each in (got, found):
        await store.put_item(each, "k", {}, ttl=60)
        await ends(replica, each, 600)

    await store.get_item(got, "k", refresh_ttl=refresh)
    await store.search_items(found, refresh_ttl=refresh)

    assert [await ends(replica, each) > 1800 for each in (got, found)] == [prolonged, prolonged]


async def test_reading_does_not_end_the_life_of_an_item_of_less_than_a_minute(
    replica: Replica, place: list[str]
) -> None:
    await replica.client.store.put_item(place, "k", {}, ttl=0.9)  # type: ignore[arg-type]
    await ends(replica, place, 600)

    await replica.client.store.get_item(place, "k", refresh_ttl=True)

    assert 30 < await ends(replica, place) < 60


async def test_namespaces_are_listed_page_by_page(client: LangGraphClient, place: list[str]) -> None:
    for label in "abcde":
        await client.store.put_item([*place, label], "k", {})

    pages = [
        [tuple(one) for one in (await client.store.list_namespaces(place, limit=2, offset=at))["namespaces"]]
        for at in (0, 2, 4)
    ]

    assert [len(page) for page in pages] == [2, 2, 1]
    assert {one[-1] for page in pages for one in page} == set("abcde")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"suffix": ["x"]}, {"a.x", "b.x"}),
        ({"max_depth": 3}, {"a", "b"}),
        ({"suffix": ["y"], "max_depth": 3}, {"a"}),
        ({}, {"a.x", "a.y", "b.x"}),
    ],
)
async def test_namespaces_are_listed_by_their_ends_and_depth(
    client: LangGraphClient, place: list[str], given: Any, found: set[str]
) -> None:
    for labels in (["a", "x"], ["a", "y"], ["b", "x"]):
        await client.store.put_item([*place, *labels], "k", {})

    listed = (await client.store.list_namespaces(place, **given))["namespaces"]

    assert {".".join(one[2:]) for one in listed} == found


async def test_only_the_item_named_is_deleted(client: LangGraphClient, place: list[str]) -> None:
    for key in ("one", "two"):
        await client.store.put_item(place, key, {})

    await client.store.delete_item(place, key="one")

    assert keys(await client.store.search_items(place)) == {"two"}
