"""A whole service behind PgBouncer as Debian ships it, in transaction and in session mode: nothing has to be
set there, and nothing is left on a connection that is another client's next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from api_graphs import entrance, gate
from api_replicas import Replica, open_replica, settings_of
from langgraph_sdk.client import LangGraphClient
from structlog.testing import capture_logs

from lgs_runtime.errors import ConfigError, NotFound
from lgs_runtime.runs.crons import run_id_of
from lgs_runtime.settings import Settings
from support.pgbouncer import PgBouncer, keeps_statements
from support.postgres import fresh_database
from support.servers import running
from support.waiting import until

pytestmark = pytest.mark.usefixtures("unhurried")


@dataclass(frozen=True)
class Pooled:
    """A database, and the pooler before it."""

    settings: Settings
    pooler: PgBouncer
    straight: str
    mode: str


@pytest.fixture(params=["transaction", "session", "transaction, and a direct way"])
def pooled(
    request: pytest.FixtureRequest, postgres_service: str, redis_uri: str, tmp_path: Path
) -> Iterator[Pooled]:
    """The settings of a service behind a pooler."""
    mode, _, more = request.param.partition(",")
    with fresh_database(postgres_service) as uri, running(PgBouncer(uri, mode)) as pooler:
        uris = {"database_uri": pooler.uri(uri), "redis_uri": redis_uri}
        settings = settings_of(tmp_path, {**uris, "database_direct_uri": uri if more else None})
        yield Pooled(settings, pooler, uri, mode)


@pytest.fixture
async def two(pooled: Pooled) -> AsyncIterator[tuple[Replica, Replica]]:
    """Two replicas, the second of which takes no runs."""
    async with (
        open_replica(pooled.settings) as one,
        open_replica(replace(pooled.settings, replica_id="b", concurrency=1)) as other,
    ):
        await other.services.worker.drain(0)
        yield one, other


def locks(pooled: Pooled) -> list[Any]:
    """The advisory locks that somebody has in the service's database, if only for a moment."""
    held = """
        SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
        WHERE locktype = 'advisory' AND datname = current_database()
    """
    with psycopg.connect(pooled.straight) as watching:
        return watching.execute(held).fetchall()


async def test_twenty_threads_of_several_turns_on_two_replicas_all_end_right(pooled: Pooled) -> None:
    async def talks(client: LangGraphClient) -> list[str]:
        thread = (await client.threads.create())["thread_id"]
        for text in ("a", "b", "c"):
            values: Any = await client.runs.wait(thread, "steps", input={"text": text})
        history = await client.threads.get_history(thread, limit=100)
        assert len(history) == 12
        return list(values["steps"])

    with capture_logs() as said:
        async with (
            open_replica(pooled.settings) as one,
            open_replica(replace(pooled.settings, replica_id="b")) as other,
        ):
            told = await asyncio.gather(*(talks((one, other)[number % 2].client) for number in range(20)))
            await until(lambda: not locks(pooled), "a lock was left on a connection")

    assert told == [["first", "second"] * 3] * 20
    (chosen, _) = [line for line in said if line["event"] == "database.pooler"]
    by_name = keeps_statements() and pooled.mode == "transaction"
    assert chosen["statements"] == ("prepared by name" if by_name else "prepared in their transaction")
    assert ("LGS_DATABASE_DIRECT_URI" in chosen["signals"]) == bool(pooled.settings.database_direct_uri)


async def test_a_run_is_followed_and_stopped_through_another_replica(two: tuple[Replica, Replica]) -> None:
    one, other = two
    key = (await one.client.threads.create())["thread_id"]
    run = await one.client.runs.create(key, "slow", input={"text": key}, stream_mode=["updates"])
    await entrance(key).wait()
    parts = []
    async for part in other.client.runs.join_stream(key, run["run_id"], last_event_id="-1"):
        parts.append(part.event)
        if part.event == "updates":
            gate(key).set()
    again = (await one.client.threads.create())["thread_id"]
    stopped = await one.client.runs.create(again, "slow", input={"text": again})
    await entrance(again).wait()

    async with asyncio.timeout(60):
        await other.client.runs.cancel(again, stopped["run_id"], wait=True)

    assert parts == ["metadata", "updates", "updates", "updates"]
    assert (await one.client.runs.get(again, stopped["run_id"]))["status"] == "interrupted"


async def test_who_waits_at_another_replica_hears_of_the_end_soon(two: tuple[Replica, Replica]) -> None:
    one, other = two
    key = (await one.client.threads.create())["thread_id"]
    run = await one.client.runs.create(key, "slow", input={"text": key})
    await entrance(key).wait()
    joined = asyncio.create_task(other.client.runs.join(key, run["run_id"]))
    gate(key).set()

    async with asyncio.timeout(60):
        values: Any = await joined

    assert values["steps"] == ["first", "waited", "second"]


async def test_crons_and_the_store_work(two: tuple[Replica, Replica]) -> None:
    one, other = two
    cron: Any = await one.client.crons.create("steps", schedule="0 0 1 1 *", input={"text": "hi"})
    storage = one.services.storage
    past = await storage.now() - timedelta(minutes=5)
    due = run_id_of(await storage.crons.update(cron["cron_id"], {"next_run_date": past}))
    await asyncio.gather(
        *((one, other)[n % 2].client.store.put_item(["n"], f"k{n}", {"n": n}) for n in range(20))
    )
    found = await other.client.store.search_items(["n"], limit=100)

    async def fired() -> bool:
        with suppress(NotFound):
            return bool((await storage.runs.get(due)).status == "success")
        return False

    await until(fired, "the cron's run has not ended")
    assert sorted(item["value"]["n"] for item in found["items"]) == list(range(20))


async def test_versions_copies_and_storage_of_a_thread_work(two: tuple[Replica, Replica]) -> None:
    one, other = two
    thread = (await one.client.threads.create())["thread_id"]
    for text in ("a", "b"):
        await one.client.runs.wait(thread, "steps", input={"text": text})
    copied: Any = await other.client.threads.copy(thread)
    async with httpx.AsyncClient(base_url=other.url, timeout=60) as http:
        use = (await http.get(f"/threads/{thread}/storage")).json()
        back = await http.post(f"/threads/{thread}/versions/1/rollback")
        document = (await http.get(f"/threads/{thread}/export")).content
        imported = await http.post("/threads/import", content=document, params={"if_exists": "replace"})
    await other.client.threads.prune([copied["thread_id"]], strategy="keep_latest")
    await one.client.threads.delete(thread)

    assert use["checkpoints"]["count"] == 8
    assert (back.status_code, imported.status_code) == (200, 200)
    assert len(await one.client.threads.get_history(copied["thread_id"], limit=100)) == 1


async def test_a_pooler_that_is_started_again_is_used_again(pooled: Pooled) -> None:
    async with open_replica(pooled.settings) as replica:
        await replica.client.runs.wait(None, "steps", input={})
        await asyncio.to_thread(pooled.pooler.stop)
        async with httpx.AsyncClient(base_url=replica.url, timeout=60) as http:
            assert (await http.get("/ready")).status_code == 503
            await asyncio.to_thread(pooled.pooler.start)

            async def ready() -> bool:
                return (await http.get("/ready")).status_code == 200

            await until(ready, "it is not ready again")

        assert await replica.client.runs.wait(None, "steps", input={}) == {"steps": ["first", "second"]}


async def test_a_direct_way_that_is_none_is_told_at_the_start(pooled: Pooled) -> None:
    settings = replace(pooled.settings, database_direct_uri=pooled.settings.database_uri)

    with pytest.raises(ConfigError, match=r"LGS_DATABASE_DIRECT_URI: .*: a pooler: must be the PostgreSQL"):
        async with open_replica(settings):
            pass


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"password": "wrong-secret"}, "password authentication failed"),
        ({"user": "guest"}, "does not exist"),
        ({"database": "no_such_database"}, "does not exist"),
    ],
)
async def test_a_pooler_that_refuses_ends_the_start_at_once_with_its_words(
    pooled: Pooled, change: dict[str, str], said: str
) -> None:
    straight = pooled.straight
    if "database" in change:
        straight = f"{straight.rsplit('/', 1)[0]}/{change['database']}"
    who = {name: value for name, value in change.items() if name != "database"}
    settings = replace(pooled.settings, database_uri=pooled.pooler.uri(straight, **who))

    async with asyncio.timeout(60):
        with pytest.raises(ConfigError) as refused:
            async with open_replica(settings):
                pass

    assert str(refused.value).startswith("DATABASE_URI: postgresql://")
    assert said in str(refused.value)
    assert "secret" not in str(refused.value) and "let-me-in" not in str(refused.value)
