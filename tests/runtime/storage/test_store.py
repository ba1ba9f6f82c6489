"""`store` of langgraph.json: items are found by meaning, and live as long as they are given."""

from __future__ import annotations

import asyncio
import math
import sqlite3
import struct
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from enum import Enum
from importlib.metadata import requires
from typing import Any
from uuid import UUID

import psycopg
import pytest
from langgraph.store.base import BaseStore
from packaging.requirements import Requirement

from lgs_runtime.errors import ConfigError, HandlerFailed
from lgs_runtime.store.backends import open_store
from lgs_runtime.store.options import Index, open_index, parse_store
from lgs_runtime.store.sweeping import Sweeps
from lgs_runtime.store.vectors import cosine_distance
from support.ports import PATIENCE_SECONDS

MOMENT = 0.0005
"""In minutes."""


class Colour(Enum):
    RED = "red"


NO_VECTORS = "this PostgreSQL has no pgvector (package postgresql-NN-pgvector)"


def by_letter(texts: Sequence[str]) -> list[list[float]]:
    """A meaning that a test can foresee: how often a text has a, b and c."""
    return [[float(text.count(letter)) + 0.01 for letter in "abc"] for text in texts]


async def by_letter_later(texts: Sequence[str]) -> list[list[float]]:
    return by_letter(texts)


def index_of(found: Any = by_letter, **more: Any) -> Index:
    options = parse_store({"index": {"dims": 3, "embed": "./embed.py:fn"} | more}, "store").index
    assert options is not None
    return open_index(options, found)


async def has_vectors(uri: str) -> bool:
    """Whether the database can search by meaning: a PostgreSQL may be without it."""
    if uri.startswith("sqlite"):
        return True
    async with await psycopg.AsyncConnection.connect(uri) as connection:
        found = await connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'")
        return await found.fetchone() is not None


async def test_a_search_stays_in_its_namespace_whatever_characters_that_has(database_uri: str) -> None:
    async with open_store(database_uri) as store:
        for label in ("al", "alice", "j_n", "jon", "j%", "J_N", "a*", "a[l]"):
            await store.aput(("mine", label, "notes"), label, {})

        found = {
            label: [item.key for item in await store.asearch(("mine", label))]
            for label in ("al", "j_n", "j%", "a*", "a[l]")
        }

    assert found == {label: [label] for label in found}


@pytest.mark.parametrize("name", ["langgraph-checkpoint-postgres", "langgraph-checkpoint-sqlite"])
def test_stores_that_search_beyond_their_namespace_are_not_taken(name: str) -> None:
    needed = {each.name: each.specifier for each in map(Requirement, requires("lgs-runtime") or ())}

    assert "3.1.0" not in needed[name]
    assert "3.1.1" in needed[name]


async def test_an_item_keeps_when_it_was_made_and_the_one_put_last_comes_first(database_uri: str) -> None:
    async with open_store(database_uri) as store:
        for key in ("a", "b", "c", "a"):
            before = await store.aget(("order",), key)
            await store.aput(("order",), key, {}, ttl=5)
            # The clock of SQLite counts milliseconds.
            await asyncio.sleep(0.002)
        again = await store.aget(("order",), "a")

        found = await store.asearch(("order",))

    assert [item.key for item in found] == ["a", "c", "b"]
    assert before is not None and again is not None
    assert again.created_at == before.created_at
    assert again.updated_at > before.updated_at


async def test_a_filter_finds_integers_of_any_size(database_uri: str) -> None:
    async with open_store(database_uri) as store:
        await store.aput(("large",), "a", {"n": 2**70, "list": [2**70]})
        await store.aput(("large",), "b", {"n": 2**70 + 1})

        same = await store.asearch(("large",), filter={"n": 2**70})
        inside = await store.asearch(("large",), filter={"list": [2**70]})

    assert [item.key for item in same] == [item.key for item in inside] == ["a"]


@pytest.mark.parametrize("large", [1.7e18, 10**20, -1e17, -(10**21)], ids=str)
async def test_a_number_of_any_size_is_filtered_as_a_number(database_uri: str, large: float) -> None:
    """Those that PostgreSQL's jsonb would change are texts there: nanoseconds of a clock are such."""
    async with open_store(database_uri) as store:
        for key, n in {"large": large, "more": large * 2, "one": 1, "word": "a"}.items():
            await store.aput(("numbers",), key, {"n": n})
        away, back = ("$gt", "$lt") if large > 0 else ("$lt", "$gt")

        async def found(rule: Any) -> set[str]:
            return {item.key for item in await store.asearch(("numbers",), filter={"n": rule})}

        assert await found({away: 1}) == {"large", "more"}
        assert await found({away: large}) == {"more"}
        assert await found({back: int(large) * 2}) == {"large", "one"}
        assert await found(int(large)) == await found(float(large)) == {"large"}
        assert await found({"$ne": float(large)}) == {"more", "one", "word"}
        assert await found({"$gte": "a"}) == {"word"}


@pytest.mark.parametrize("value", [UUID(int=7), datetime(2026, 1, 2, tzinfo=UTC), Colour.RED], ids=type)
async def test_a_filter_takes_what_an_item_takes(database_uri: str, value: Any) -> None:
    """A graph filters by its own objects, which are kept as texts, and by any number."""
    async with open_store(database_uri) as store:
        await store.aput(("own",), "a", {"of": value, "n": 1})
        await store.aput(("own",), "b", {"of": "another", "n": None})

        filters: list[dict[str, Any]] = [{"of": value}, {"of": {"$eq": value}}, {"n": {"$lt": math.inf}}]
        found = [await store.asearch(("own",), filter=each) for each in filters]
        with pytest.raises(TypeError, match="not JSON serializable"):
            await store.asearch(("own",), filter={"of": object()})

    assert [[item.key for item in items] for items in found] == [["a"]] * 3


@pytest.mark.parametrize("embed", [by_letter, by_letter_later])
async def test_items_are_found_by_meaning(database_uri: str, embed: Any) -> None:
    if not await has_vectors(database_uri):
        pytest.skip(NO_VECTORS)
    async with open_store(database_uri, index=index_of(embed, fields=["text"])) as store:
        for key, text in {"first": "aaaa", "second": "bbbb", "third": "cccc"}.items():
            await store.aput(("memories",), key, {"text": text, "kind": "note"})
        await store.aput(("memories",), "hidden", {"text": "bbbb", "kind": "note"}, index=False)

        found = await store.asearch(("memories",), query="bb", limit=1)
        filtered = await store.asearch(("memories",), query="bb", filter={"kind": "other"})

    assert [item.key for item in found] == ["second"]
    assert found[0].score is not None and found[0].score > 0.9
    assert filtered == []


async def test_an_index_of_another_size_than_what_is_stored_is_told_at_start(database_uri: str) -> None:
    if not await has_vectors(database_uri):
        pytest.skip(NO_VECTORS)
    async with open_store(database_uri, index=index_of()) as store:
        await store.aput(("n",), "a", {"text": "a"})

    with pytest.raises(ConfigError, match=r"store\.index\.dims: 4: must be 3, as the vectors that this"):
        async with open_store(database_uri, index=index_of(dims=4)):
            pass

    async with open_store(database_uri, index=index_of()) as store:
        assert [item.key for item in await store.asearch(("n",), query="a")] == ["a"]


@pytest.mark.parametrize("embed", [by_letter, by_letter_later])
async def test_vectors_of_the_wrong_size_are_refused_and_nothing_is_stored(
    database_uri: str, embed: Any
) -> None:
    if not await has_vectors(database_uri):
        pytest.skip(NO_VECTORS)
    async with open_store(database_uri, index=index_of(embed, dims=2)) as store:
        rule = (
            r"store\.index\.dims: 2: must be the length of the vectors that \./embed\.py:fn gives, which is 3"
        )
        with pytest.raises(HandlerFailed, match=rule):
            await store.aput(("n",), "a", {"text": "a"})
        with pytest.raises(HandlerFailed, match=rule):
            await store.asearch(("n",), query="a")

        assert await store.aget(("n",), "a") is None


async def test_a_query_and_a_document_have_the_vector_of_their_text_from_any_thread() -> None:
    sized, texts = index_of().embeddings, ["a", "bb"]
    vectors = by_letter(texts)

    assert sized.embed_documents(texts) == await sized.aembed_documents(texts) == vectors
    assert [sized.embed_query("bb"), await sized.aembed_query("bb")] == [vectors[1]] * 2


class Panic(BaseException):
    """As that of an extension written in Rust, such as a tokenizer: no `Exception`."""


@pytest.mark.parametrize("later", [False, True], ids=["in a thread", "awaited"])
@pytest.mark.parametrize(
    "left", [asyncio.CancelledError("of nobody"), Panic("index out of bounds")], ids=repr
)
async def test_embeddings_that_leave_by_what_is_no_exception_fail_who_asked_and_nobody_else(
    database_uri: str, left: BaseException, *, later: bool
) -> None:
    def embed(texts: Sequence[str]) -> Sequence[Sequence[float]]:
        if any("leave" in text for text in texts):
            raise left
        return by_letter(texts)

    async def embed_later(texts: Sequence[str]) -> Sequence[Sequence[float]]:
        return embed(texts)

    if not await has_vectors(database_uri):
        pytest.skip(NO_VECTORS)
    index = index_of(embed_later if later else embed)
    async with open_store(database_uri, index=index) as store, asyncio.timeout(PATIENCE_SECONDS):
        fails = store.aput(("a",), "one", {"text": "leave"})
        works = store.aput(("a",), "two", {"text": "apple"})
        reads = store.asearch(("a",), query="leave")
        said = await asyncio.gather(fails, works, reads, return_exceptions=True)

        assert [type(each) for each in said] == [type(left), type(None), type(left)]
        assert [item.key for item in await store.asearch(("a",))] == ["two"]


async def test_embeddings_that_leave_a_text_out_are_refused() -> None:
    sized = index_of(lambda texts: by_letter(texts)[1:]).embeddings

    with pytest.raises(HandlerFailed, match=r"store\.index\.embed: .*: must give one vector for"):
        await sized.aembed_documents(["a", "b"])


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        ((1, 2, 3), (2, 4, 6), 0.0),
        ((1, 0, 0), (0, 5, 0), 1.0),
        ((1, 1, 0), (-2, -2, 0), 2.0),
        ((1, 0, 0), (1, 1, 0), 1 - math.sqrt(0.5)),
        ((0, 0, 0), (1, 1, 0), None),
    ],
)
def test_the_distance_of_two_vectors_is_that_of_their_directions(
    one: tuple[float, ...], other: tuple[float, ...], distance: float | None
) -> None:
    found = cosine_distance(struct.pack("3f", *one), struct.pack("3f", *other))

    assert found == (None if distance is None else pytest.approx(distance, abs=1e-6))


async def test_a_database_without_vectors_is_told_at_start(database_uri: str) -> None:
    if await has_vectors(database_uri):
        pytest.skip("the database has vectors")

    with pytest.raises(ConfigError, match=r"store\.index: set: must be absent .*pgvector"):
        async with open_store(database_uri, index=index_of()):
            pass


async def gone(store: BaseStore, key: str, **how: Any) -> None:
    """Waits until an item can't be read any more."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await store.aget(("n",), key, **how) is not None:
            await asyncio.sleep(0.1)


async def test_an_item_is_gone_when_its_time_has_passed(database_uri: str) -> None:
    ttl = parse_store({}, "store").ttl.config()
    async with open_store(database_uri, ttl=ttl) as store:
        await store.aput(("n",), "short", {"v": 1}, ttl=MOMENT)
        await store.aput(("n",), "kept", {"v": 2})

        await gone(store, "short", refresh_ttl=False)

        assert [item.key for item in await store.asearch(("n",))] == ["kept"]


async def test_the_default_counts_for_items_that_say_nothing(database_uri: str) -> None:
    ttl = parse_store({"ttl": {"default_ttl": MOMENT, "refresh_on_read": False}}, "store").ttl.config()
    async with open_store(database_uri, ttl=ttl) as store:
        await store.aput(("n",), "default", {"v": 1})
        await store.aput(("n",), "own", {"v": 1}, ttl=60)

        await gone(store, "default")

        assert await store.aget(("n",), "own") is not None


async def expiry(uri: str) -> Any:
    """When the item expires, as the database has it. SQLite's may be without its microseconds."""
    statement = "SELECT expires_at FROM store WHERE key = 'k'"
    if uri.startswith("sqlite"):
        with closing(sqlite3.connect(f"{uri.removeprefix('sqlite:///')}-store")) as connection:
            return datetime.fromisoformat(connection.execute(statement).fetchone()[0][:19])
    async with await psycopg.AsyncConnection.connect(uri) as connection_:
        row = await (await connection_.execute(statement)).fetchone()
        assert row is not None
        return row[0]


@pytest.mark.parametrize("refreshes", [True, False])
async def test_reading_makes_an_item_live_longer_where_the_file_says_so(
    database_uri: str, refreshes: bool
) -> None:
    ttl = parse_store({"ttl": {"refresh_on_read": refreshes}}, "store").ttl.config()
    async with open_store(database_uri, ttl=ttl) as store:
        await store.aput(("n",), "k", {"v": 1}, ttl=60)
        before = later = await expiry(database_uri)
        async with asyncio.timeout(PATIENCE_SECONDS):
            # Whole seconds may be all that is counted; where nothing changes, a second shows it.
            for _ in range(400 if refreshes else 25):
                await store.aget(("n",), "k")
                await store.asearch(("n",))
                later = await expiry(database_uri)
                if later > before:
                    break
                await asyncio.sleep(0.05)

    assert (later > before) is refreshes


async def test_a_sweep_deletes_what_has_expired_and_nothing_else(database_uri: str) -> None:
    ttl = parse_store({}, "store").ttl.config()
    async with open_store(database_uri, ttl=ttl) as store:
        assert isinstance(store, Sweeps)
        await store.aput(("n",), "short", {"v": 1}, ttl=MOMENT)
        await store.aput(("n",), "long", {"v": 1}, ttl=60)
        await store.aput(("n",), "kept", {"v": 2})

        swept = 0
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (swept := await store.sweep_ttl()):
                await asyncio.sleep(0.1)

        assert swept == 1
        assert sorted(item.key for item in await store.asearch(("n",))) == ["kept", "long"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], "store: []: must be an object"),
        ({"indexes": {}}, "store.indexes: unknown: must be one of path, index, ttl"),
        ({"index": {"embed": "a:b"}}, "store.index.dims: None: must be a whole number from 1 to"),
        ({"index": {"dims": 3, "embed": "a"}}, "store.index.embed: 'a': must be provider:model or path:"),
        (
            {"index": {"dims": 3, "embed": "a:b", "fields": "text"}},
            "store.index.fields: 'text': must be a list",
        ),
        ({"ttl": {"default_ttl": 0}}, "store.ttl.default_ttl: 0: must be more than 0"),
        ({"ttl": {"refresh_on_read": 1}}, "store.ttl.refresh_on_read: 1: must be true or false"),
    ],
)
def test_a_store_that_can_not_work_is_named(content: Any, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_store(content, "store")

    assert str(raised.value).startswith(said)


def test_a_model_whose_package_is_missing_and_a_thing_that_is_no_function_are_told() -> None:
    options = parse_store({"index": {"dims": 3, "embed": "nobody:nothing"}}, "store").index
    assert options is not None and not options.is_path

    with pytest.raises(
        ConfigError, match=r"store\.index\.embed: nobody:nothing: must be a model whose packages"
    ):
        open_index(options)
    with pytest.raises(ConfigError, match="it is an int; it must be a function or Embeddings"):
        open_index(options, 7)


async def test_a_key_that_is_no_text_is_kept_as_one_and_found_as_it_was_put(database_uri: str) -> None:
    async with open_store(database_uri) as store:
        await store.aput(("n",), 5, {"n": 5})  # type: ignore[arg-type]

        found = await store.aget(("n",), 5)  # type: ignore[arg-type]
        listed = await store.asearch(("n",))
        await store.adelete(("n",), 5)  # type: ignore[arg-type]

        assert found is not None and (found.key, found.value) == ("5", {"n": 5})
        assert [item.key for item in listed] == ["5"]
        assert await store.aget(("n",), "5") is None
