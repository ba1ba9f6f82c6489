"""The store's own database says that it is away; what an embedding provider raises inside of the store passes
as it is."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

import lgs_runtime.store.sqlite as sqlite_store
from lgs_runtime.checkpoint.failures import from_persistence
from lgs_runtime.database.postgres_connections import Access
from lgs_runtime.errors import StorageUnavailable
from lgs_runtime.store.backends import open_store
from lgs_runtime.store.options import open_index, parse_store
from lgs_runtime.store.postgres import PostgresStore
from lgs_runtime.store.postgres_connections import open_pool
from support.postgres import PostgresServer

ERRORS = (ConnectionResetError("cut"), TimeoutError("late"), psycopg.OperationalError("their server"))


def failing(error: Exception) -> Callable[[Sequence[str]], Any]:
    def embed(texts: Sequence[str]) -> list[list[float]]:
        raise error

    return embed


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_what_a_provider_raises_inside_of_the_postgres_store_passes_as_it_is(
    postgres_uri: str, error: Exception
) -> None:
    options = parse_store({"index": {"dims": 3, "embed": "./embed.py:fn"}}, "store").index
    assert options is not None
    index: Any = open_index(options, failing(error)).config()
    async with open_store(postgres_uri), open_pool(Access(postgres_uri), 2) as pool:
        # Embeddings are asked before the server is, so that it need not have pgvector.
        store = PostgresStore(pool, index=index)
        with pytest.raises(type(error)) as put:
            await store.aput(("n",), "a", {"text": "a"})
        with pytest.raises(type(error)) as searched:
            await store.asearch(("n",), query="a")
        with pytest.raises(type(error)) as in_a_thread:
            await asyncio.to_thread(store.put, ("n",), "a", {"text": "a"})

    assert [str(raised.value) for raised in (put, searched, in_a_thread)] == [str(error)] * 3


async def test_what_one_runs_provider_raises_fails_nothing_that_others_ask_at_the_same_moment(
    database_uri: str,
) -> None:
    def embed(texts: Sequence[str]) -> list[list[float]]:
        if any("poison" in text for text in texts):
            raise ValueError("poison")
        return [[1.0, 0.5, 0.25] for _ in texts]

    options = parse_store({"index": {"dims": 3, "embed": "./embed.py:fn"}}, "store").index
    assert options is not None
    async with open_store(database_uri) as plain:
        index: Any = open_index(options, embed).config()
        store: Any = type(plain)(plain.conn, index=index)  # type: ignore[attr-defined, call-arg]
        store.is_setup = True
        await store.aput(("n",), "a", {"text": "a"}, index=False)

        failed, found, put, again = await asyncio.gather(
            store.aput(("n",), "b", {"text": "poison"}),
            store.aget(("n",), "a"),
            store.aput(("n",), "c", {"text": "c"}, index=False),
            store.aput(("n",), "d", {"text": "poison"}),
            return_exceptions=True,
        )

        assert [type(each) for each in (failed, again)] == [ValueError, ValueError]
        assert found.value == {"text": "a"} and put is None
        assert (await store.aget(("n",), "c")).value == {"text": "c"}


async def test_a_postgres_store_whose_server_is_gone_says_so(postgres_server: PostgresServer) -> None:
    async with open_store(postgres_server.uri) as store:
        await store.aput(("n",), "a", {"text": "a"})
        await asyncio.to_thread(postgres_server.stop)

        with pytest.raises(StorageUnavailable):
            await store.aget(("n",), "a")
        with pytest.raises(StorageUnavailable):
            await store.aput(("n",), "b", {"text": "b"})
        with pytest.raises(StorageUnavailable):
            await store.sweep_ttl()  # type: ignore[attr-defined]

        await asyncio.to_thread(postgres_server.start)
        assert await store.aget(("n",), "a") is not None


async def test_a_sqlite_store_that_is_locked_says_so_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_store, "BUSY_SECONDS", 0.05)
    async with open_store(f"sqlite:///{tmp_path}/lgs.db") as store:
        await store.aput(("n",), "a", {"text": "a"})
        with closing(sqlite3.connect(tmp_path / "lgs.db-store", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StorageUnavailable, match="database is locked"):
                await store.aput(("n",), "b", {"text": "b"})
            with pytest.raises(StorageUnavailable, match="database is locked"):
                await store.sweep_ttl()  # type: ignore[attr-defined]
            other.execute("ROLLBACK")

        await store.aput(("n",), "b", {"text": "b"})
        assert await store.aget(("n",), "b") is not None


async def test_a_sqlite_store_without_room_says_so_and_goes_on(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path}/lgs.db") as store:
        connection: Any = store.conn  # type: ignore[attr-defined]
        pages = (await (await connection.execute("PRAGMA page_count")).fetchone())[0]
        await connection.execute(f"PRAGMA max_page_count={pages}")

        with pytest.raises(StorageUnavailable, match="full"):
            await store.aput(("n",), "large", {"text": "a" * 1_000_000})

        await connection.execute("PRAGMA max_page_count=1000000")
        await store.aput(("n",), "large", {"text": "a" * 1_000_000})
        assert await store.aget(("n",), "large") is not None


def test_a_group_of_errors_is_the_databases_when_all_of_them_are() -> None:
    away = StorageUnavailable("away")

    assert from_persistence(away)
    assert from_persistence(ExceptionGroup("both", [away, StorageUnavailable("away")]))
    assert not from_persistence(ExceptionGroup("one", [away, OSError("theirs")]))
    assert not any(from_persistence(error) for error in ERRORS)
