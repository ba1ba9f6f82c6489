"""The life of a replica as a process: it opens, serves, drains and closes, and its exit code says why it
ended."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import httpx
import psycopg
import pytest
from structlog.testing import capture_logs

from lgs_runtime import opening, server
from lgs_runtime.background.heartbeat import Heartbeat
from lgs_runtime.errors import ConfigError
from lgs_runtime.run_kwargs import RunKwargs
from lgs_runtime.settings import Settings
from lgs_runtime.storage import Lease, StorageOptions, open_storage
from runtime.core.stories import ran
from support.ports import PATIENCE_SECONDS, free_port, shared_port
from support.postgres import PostgresServer
from support.redis import RedisServer
from support.waiting import until

NewProcess = Callable[..., subprocess.Popen[bytes]]
EMBEDDED = pytest.mark.parametrize("database_uri", ["sqlite"], indirect=True)
METRICS = (
    "lgs_runs_arrived_total",
    "lgs_runs_rejected_total",
    "lgs_runs_finished_total",
    "lgs_queue_depth",
    "lgs_queue_oldest_seconds",
    "lgs_queue_blocked",
    "lgs_slots",
    "lgs_slots_in_use",
    "lgs_draining",
    "lgs_run_wait_seconds",
    "lgs_run_execution_seconds",
    "lgs_run_latency_seconds",
    "lgs_event_loop_lag_seconds",
    "process_resident_memory_bytes",
)


async def address_of(process: subprocess.Popen[bytes], log: Path) -> str:
    """Where a process listens, once it is ready."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            for line in log.read_text().splitlines():
                if '"http.listens"' in line:
                    base = f"http://127.0.0.1:{json.loads(line)['port']}"
                    if await _ready(base) == 200:
                        return base
            assert process.poll() is None, log.read_text()
            await asyncio.sleep(0.05)


async def _ready(base: str) -> int:
    async with httpx.AsyncClient(base_url=base) as client:
        try:
            return (await client.get("/ready")).status_code
        except httpx.TransportError:
            return 0


async def ended(process: subprocess.Popen[bytes]) -> int:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await asyncio.to_thread(process.wait)


@EMBEDDED
async def test_a_replica_serves_without_redis_and_hands_back_at_sigterm(
    new_process: NewProcess, settings: Settings, tmp_path: Path
) -> None:
    process = new_process("a", REDIS_URI=f"redis://127.0.0.1:{free_port()}", LGS_DRAIN_SECONDS="1")
    base = await address_of(process, tmp_path / "a.log")
    body = {"assistant_id": "three_steps", "input": {"folder": str(tmp_path), "done": []}}
    async with httpx.AsyncClient(base_url=base, timeout=PATIENCE_SECONDS) as client:
        answer = await client.post("/runs/wait", json=body)
        text = (await client.get("/metrics")).text

        assert answer.json()["done"] == ["one", "two", "three"]
        shown = {line.split("{")[0].split(" ")[0] for line in text.splitlines() if not line.startswith("#")}
        assert [name for name in METRICS if not {name, f"{name}_count"} & shown] == []

        (tmp_path / "hold-two").touch()
        thread = (await client.post("/threads", json={})).json()["thread_id"]
        run = (await client.post(f"/threads/{thread}/runs", json=body)).json()["run_id"]
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(ran(tmp_path)) < 5:
                await asyncio.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await _ready(base) == 200:
                await asyncio.sleep(0.01)

    assert await ended(process) == 0
    storage = await open_storage(settings.database_uri, StorageOptions(lease_seconds=settings.lease_seconds))
    handed_back = await storage.runs.get(run)
    await storage.close()
    assert (handed_back.status, handed_back.attempt) == ("pending", 0)


@EMBEDDED
async def test_a_replica_is_alive_and_not_ready_until_its_cache_is_warm(
    new_process: NewProcess, tmp_path: Path
) -> None:
    held = tmp_path / "hold-two"
    held.touch()
    inputs = [{"assistant": "three_steps", "input": {"folder": str(tmp_path), "done": []}}]
    warmup = json.dumps({"inputs": inputs, "timeoutSeconds": 300})
    new_process("a", LGS_CACHE_WARMUP=warmup)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while ran(tmp_path) != ["one", "two"]:
            await asyncio.sleep(0.01)
    listens = next(line for line in (tmp_path / "a.log").read_text().splitlines() if "http.listens" in line)
    base = f"http://127.0.0.1:{json.loads(listens)['port']}"
    async with httpx.AsyncClient(base_url=base, timeout=PATIENCE_SECONDS) as client:
        assert (await client.get("/ok")).status_code == 200
        assert (await client.get("/ready")).status_code == 503

        held.unlink()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await _ready(base) != 200:
                await asyncio.sleep(0.01)
        threads = (await client.post("/threads/search", json={})).json()

    assert ran(tmp_path) == ["one", "two", "three"]
    assert threads == []


HOLDS = """
import time
from pathlib import Path
from typing_extensions import TypedDict
from langgraph.graph import START, StateGraph
class State(TypedDict, total=False):
    told: str
def thread(state):
    Path(state["told"]).touch()
    time.sleep(600)
async def loop(state):
    Path(state["told"]).touch()
    time.sleep(600)
in_a_thread = StateGraph(State).add_node("node", thread).add_edge(START, "node").compile()
in_the_loop = StateGraph(State).add_node("node", loop).add_edge(START, "node").compile()
"""


@EMBEDDED
@pytest.mark.parametrize("graph", ["in_a_thread", "in_the_loop"])
async def test_a_warm_up_that_blocks_keeps_no_replica_from_ending(
    new_process: NewProcess, tmp_path: Path, graph: str
) -> None:
    (tmp_path / "holds.py").write_text(HOLDS)
    told = tmp_path / "told"
    warmup = {"inputs": [{"input": {"told": str(told)}}], "timeoutSeconds": 300}
    graphs = {graph: f"{tmp_path}/holds.py:{graph}"}

    process = new_process("a", LANGSERVE_GRAPHS=json.dumps(graphs), LGS_CACHE_WARMUP=json.dumps(warmup))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not told.exists():
            await asyncio.sleep(0.01)
    process.send_signal(signal.SIGTERM)

    assert await ended(process) == 0


LEAVES = """
import asyncio, sys
from typing import Annotated
from langchain_core.runnables import RunnableConfig
from typing_extensions import TypedDict
from langgraph.graph import START, StateGraph
class State(TypedDict, total=False):
    how: str
async def node(state):
    if state["how"] == "awaits":
        await asyncio.sleep(0)
    if state["how"] == "interrupts":
        raise KeyboardInterrupt
    sys.exit(3)
def thread(state):
    sys.exit(4)
graph = StateGraph(State).add_node(node).add_edge(START, "node").compile()
plain = StateGraph(State).add_node(thread).add_edge(START, "thread").compile()
class Reduced(TypedDict, total=False):
    how: Annotated[str, lambda old, new: sys.exit(5)]
async def give(state):
    return {"how": "again"}
reduced = StateGraph(Reduced).add_node(give).add_edge(START, "give").compile()
def made(config: RunnableConfig):
    if config["configurable"].get("model") == "bad":
        sys.exit("no such model")
    return plain
async def embed(texts):
    sys.exit("no such embeddings")
"""


@EMBEDDED
async def test_code_of_a_graph_that_asks_the_program_to_end_ends_its_run_and_no_other(
    new_process: NewProcess, tmp_path: Path
) -> None:
    (tmp_path / "leaves.py").write_text(LEAVES)
    graphs = {
        "leaves": f"{tmp_path}/leaves.py:graph",
        **{name: f"{tmp_path}/leaves.py:{name}" for name in ("plain", "reduced", "made")},
        "three_steps": "./stories.py:three_steps",
    }
    warmup = {"inputs": [{"assistant": "leaves", "input": {"how": "awaits"}}] * 2}
    asked = [("leaves", "exits"), ("leaves", "awaits"), ("leaves", "interrupts"), ("plain", "exits")]
    held = tmp_path / "hold-two"
    held.touch()

    store = {"index": {"dims": 3, "embed": f"{tmp_path}/leaves.py:embed"}}
    process = new_process(
        "a",
        LANGSERVE_GRAPHS=json.dumps(graphs),
        LGS_CACHE_WARMUP=json.dumps(warmup),
        LANGGRAPH_STORE=json.dumps(store),
    )
    base = await address_of(process, tmp_path / "a.log")
    async with httpx.AsyncClient(base_url=base, timeout=PATIENCE_SECONDS) as client:
        warmed = (await client.get("/cache/stats")).json()["warmup"]
        other = {"assistant_id": "three_steps", "input": {"folder": str(tmp_path), "done": []}}
        waited = asyncio.ensure_future(client.post("/runs/wait", json=other))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(ran(tmp_path)) < 2:
                await asyncio.sleep(0.01)
        answers = [
            await client.post("/runs/wait", json={"assistant_id": graph, "input": {"how": how}})
            for graph, how in asked
        ]
        read = []
        for graph in ("reduced", "made"):
            thread = (await client.post("/threads", json={})).json()["thread_id"]
            run = {"assistant_id": graph, "input": {"how": "x"}, "config": {"configurable": {"model": "bad"}}}
            async with asyncio.timeout(PATIENCE_SECONDS):
                answers.append(await client.post(f"/threads/{thread}/runs/wait", json=run))
            for what in ("state", "history"):
                read.append((await client.get(f"/threads/{thread}/{what}")).status_code)
        drawn = await client.get("/assistants/made/graph")
        item = {"namespace": ["a"], "key": "k", "value": {"text": "what it says"}}
        put = await client.put("/store/items", json=item)
        held.unlink()
        done = (await waited).json()["done"]
    process.send_signal(signal.SIGTERM)

    assert (read, drawn.status_code) == ([200] * 4, 200)
    assert put.status_code == 502
    assert put.json()["detail"] == "store.index.embed: SystemExit: no such embeddings"
    assert (warmed["failed"], warmed["done"]) == (2, 0)
    told = [answer.json()["__error__"]["error"] for answer in answers]
    assert told == ["SystemExit", "SystemExit", "KeyboardInterrupt", *["SystemExit"] * 3]
    assert done == ["one", "two", "three"]
    assert await ended(process) == 0


@EMBEDDED
async def test_a_graph_that_can_not_work_ends_the_process_with_two_and_the_reason_last(
    new_process: NewProcess, tmp_path: Path
) -> None:
    process = new_process("a", LANGSERVE_GRAPHS='{"agent": "./nowhere.py:graph"}')

    assert await ended(process) == 2
    last = (tmp_path / "a.log").read_text().splitlines()[-1]
    assert last.startswith("graphs.agent: ./nowhere.py:graph: ")
    assert last.endswith("must be a file that exists")


@EMBEDDED
async def test_a_setting_that_can_not_work_ends_the_process_with_two(
    new_process: NewProcess, tmp_path: Path
) -> None:
    process = new_process("a", LGS_CONCURRENCY="0")

    assert await ended(process) == 2
    assert (tmp_path / "a.log").read_text().splitlines()[-1] == "LGS_CONCURRENCY: 0: must be at least 1"


async def test_an_answer_in_two_writes_does_not_wait_for_the_clients_acknowledgement() -> None:
    """asyncio turns Nagle's algorithm off only where the socket names its protocol; else that is 40 ms."""
    listener = server.bind(Settings(port=0))
    taken: asyncio.Future[socket.socket] = asyncio.get_running_loop().create_future()

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.set_result(writer.get_extra_info("socket"))
        await writer.wait_closed()

    async with await asyncio.start_server(answer, sock=listener):
        _, writer = await asyncio.open_connection(*listener.getsockname())
        assert (await taken).getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        writer.close()


def test_a_port_that_is_taken_is_told() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()

        with pytest.raises(ConfigError, match="must be a free address"):
            server.bind(Settings(port=other.getsockname()[1]))


def test_a_port_is_shared_by_those_who_name_it() -> None:
    with shared_port() as held:
        shared = Settings(port=held.getsockname()[1], reuse_port=True)

        with server.bind(shared) as one, server.bind(shared) as two:
            assert one.getsockname() == two.getsockname() == held.getsockname()


def test_a_port_that_nobody_named_is_shared_with_nobody() -> None:
    with server.bind(Settings(port=0, reuse_port=True)) as own:
        own.listen()
        strangers = Settings(port=own.getsockname()[1], reuse_port=True)

        with pytest.raises(ConfigError, match="must be a free address"):
            server.bind(strangers)


async def test_a_database_that_does_not_answer_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(opening, "DATABASE_PATIENCE_SECONDS", 0.0)
    settings = Settings(database_uri=f"postgres://me:secret@127.0.0.1:{free_port()}/db")

    async with AsyncExitStack() as stack:
        with pytest.raises(opening.StartFailed) as raised:
            await opening.open_services(settings, stack, asyncio.Event())

    said = str(raised.value)
    assert said.startswith("DATABASE_URI: postgres://me:***@127.0.0.1")
    assert "secret" not in said


@EMBEDDED
@pytest.mark.parametrize("step", ["open_persistence", "GraphRegistry.load", "Heartbeat"])
async def test_a_database_that_goes_away_in_the_middle_of_a_start_is_waited_for(
    postgres_server: PostgresServer, settings: Settings, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    at_step = f"lgs_runtime.opening.{step}"
    real = resolve_name(f"lgs_runtime.opening:{step}")

    def fails_first(*given: Any, **named: Any) -> Any:
        monkeypatch.setattr(at_step, real)
        postgres_server.stop(crash=True)
        return real(*given, **named)

    monkeypatch.setattr(at_step, fails_first)

    async with AsyncExitStack() as stack:
        with capture_logs() as said:
            starting = asyncio.create_task(
                opening.open_services(
                    replace(settings, database_uri=postgres_server.uri), stack, asyncio.Event()
                )
            )
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not any(line["event"] == "database.away" for line in said) and not starting.done():
                    await asyncio.sleep(0.05)
                await asyncio.to_thread(postgres_server.start)
                services = await starting

        await services.storage.ping()


@EMBEDDED
async def test_a_replica_that_is_stopped_while_it_waits_for_its_database_ends_well(
    new_process: NewProcess, tmp_path: Path
) -> None:
    address = f"postgres://me:***@127.0.0.1:{free_port()}/db"
    process = new_process("a", DATABASE_URI=address.replace("***", "hidden"))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while '"database.away"' not in (tmp_path / "a.log").read_text():
            assert process.poll() is None, (tmp_path / "a.log").read_text()
            await asyncio.sleep(0.05)

    process.send_signal(signal.SIGTERM)

    assert await ended(process) == 0
    assert f'"database":"{address}"' in (tmp_path / "a.log").read_text()


@EMBEDDED
async def test_results_arrive_when_redis_dies_in_the_middle_of_a_stream(
    new_replica: Callable[..., Any], redis_server: RedisServer, tmp_path: Path
) -> None:
    replica = await new_replica("a", redis_uri=redis_server.uri)
    gate = tmp_path / "hold-writes"
    gate.touch()
    given = {"folder": str(tmp_path), "done": []}
    run = await replica.start("writing", RunKwargs(input=given, stream_mode=["custom", "updates"]))
    live = replica.services.streams.subscribe(run.run_id, "-1")
    first = await anext(live)

    redis_server.stop()
    gate.unlink()
    rest = [event.event async for together in live for event in together]

    assert first[0].event == "metadata"
    assert rest[-2:] == ["updates", "end"]
    assert (await replica.ended(run)).status == "success"


@EMBEDDED
async def test_a_replica_that_drains_is_not_ready(new_replica: Callable[..., Any]) -> None:
    replica = await new_replica("a")
    readiness = replica.services.readiness
    readiness.state = server.State.SERVING
    assert await readiness.check() == (True, {"database": "ok", "streams": "ok", "queue": "ok"})

    readiness.state = server.State.DRAINING

    assert await readiness.check() == (False, {"database": "ok", "streams": "ok", "queue": "draining"})


async def test_a_lease_that_can_not_be_had_for_a_reason_that_nobody_thought_of_ends_the_start() -> None:
    class Refusing:
        async def take(self, replica: str, graphs: object, release: object) -> Lease:
            raise KeyError("nobody thought of this")

    heartbeat = Heartbeat(Refusing(), "a", 10.0, lambda: None)

    async with asyncio.timeout(PATIENCE_SECONDS):
        with pytest.raises(KeyError, match="nobody thought of this"):
            await heartbeat.start()

    await heartbeat.close()


async def test_a_heartbeat_outlives_what_nobody_thought_of() -> None:
    class Failing:
        def __init__(self) -> None:
            self.renewals = 0

        async def take(self, replica: str, graphs: object, release: object) -> Any:
            return self

        async def renew(self) -> bool:
            self.renewals += 1
            if self.renewals == 1:
                raise KeyError("nobody thought of this")
            return True

        async def close(self) -> None:
            pass

    lease = Failing()
    heartbeat = Heartbeat(lease, "a", 0.4, lambda: None)
    await heartbeat.start()

    await until(lambda: lease.renewals >= 3)

    await heartbeat.close()


def empty(database_uri: str) -> None:
    """Drops all tables. Who uses them meanwhile may wait for what is dropped, and this for them."""
    with psycopg.connect(database_uri, autocommit=True) as admin:
        for _ in range(20):
            with suppress(psycopg.errors.DeadlockDetected):
                admin.execute("DROP SCHEMA IF EXISTS public CASCADE")
                break
        admin.execute("CREATE SCHEMA public")


def database_of(ready: httpx.Response) -> str:
    """What `/ready` says about the database."""
    said: str = ready.json()["checks"]["database"]
    return said


@pytest.mark.parametrize("database_uri", ["postgres"], indirect=True)
async def test_a_database_that_was_emptied_is_told_by_its_replica_and_refused_by_the_next(
    new_process: NewProcess, settings: Settings, tmp_path: Path
) -> None:
    process = new_process("a")
    base = await address_of(process, tmp_path / "a.log")
    async with httpx.AsyncClient(base_url=base, timeout=PATIENCE_SECONDS) as client:
        known = (await client.get("/ready")).json()["database_id"]
        empty(settings.database_uri)

        async with asyncio.timeout(PATIENCE_SECONDS):
            while not database_of(answer := await client.get("/ready")).startswith("the database is empty: "):
                await asyncio.sleep(0.05)
        asked = [
            await client.post("/threads", json={}),
            await client.post("/threads/search", json={}),
            await client.get("/store/items", params={"key": "k", "namespace": "n"}),
            await client.post("/runs/wait", json={"assistant_id": "three_steps", "input": {}}),
        ]

    assert answer.status_code == 503
    assert [each.status_code for each in asked] == [503] * len(asked)
    assert all("Retry-After" in each.headers for each in asked)
    assert await ended(new_process("b", LGS_DATABASE_ID=known)) == 2
    last = (tmp_path / "b.log").read_text().splitlines()[-1]
    assert last.startswith("DATABASE_URI: ")
    assert f"the database is empty: the tables of the service are gone; its id was {known}" in last
