"""The traces of runs, as a real collector receives them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import api_traced
import httpx
import pytest
from api_replicas import Replica, open_replica, settings_of
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from lgs_runtime.background.cron_scheduler import CronScheduler
from lgs_runtime.graphs.manifest import GraphSpec
from lgs_runtime.runs.crons import run_id_of
from lgs_runtime.settings import Settings
from lgs_runtime.tracing import export
from lgs_runtime.tracing_options import TracingOptions
from support.collector import SECRET, Collector, Span, of_attempt, orphans, program
from support.http_stub import QuietHandler, http_stub
from support.ports import PATIENCE_SECONDS, free_port
from support.servers import running
from support.waiting import until

PARENT = "b2" * 8
"""A client's span."""
ASKS = {"messages": [{"role": "user", "content": "trace"}]}
GRAPHS = {name: GraphSpec(f"api_traced:{name}") for name in ("agent", "supervisor", "waits")}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    """One for all tests; each looks for the runs of its own."""
    if program() is None:
        pytest.skip("otel-collector not found: run tools/setup/collector.sh")
    with running(Collector()) as server, pytest.MonkeyPatch.context() as patched:
        # It may stand still for longer than who sends to it usually waits.
        patched.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", str(PATIENCE_SECONDS))
        patched.setattr(export, "LAST_SECONDS", PATIENCE_SECONDS)
        yield server


def tracing(settings: Settings, url: str, **more: Any) -> Settings:
    options = TracingOptions(f"{url}/v1/traces", delay_seconds=0.05, **more)
    return replace(settings, graphs={**settings.graphs, **GRAPHS}, tracing=options)


@pytest.fixture(scope="module")
async def traced(service: Any, collector: Collector) -> AsyncIterator[Replica]:
    """A replica whose runs are traced."""
    async with service("traced", lambda settings: tracing(settings, collector.url)) as opened:
        yield opened


@pytest.fixture
def embedded(tmp_path: Path) -> Settings:
    """Of a service on SQLite: what becomes of spans is the same on each database."""
    return settings_of(tmp_path, {"database_uri": f"sqlite:///{tmp_path}/lgs.db"})


async def whole(collector: Collector, run_id: str, outcome: str = "success") -> list[Span]:
    return await asyncio.to_thread(collector.whole, run_id, outcome)


async def run_of(
    replica: Replica, graph: str = "agent", word: str = "trace", headers: dict[str, str] | None = None
) -> str:
    messages = {"messages": [{"role": "user", "content": word}]}
    thread = await replica.client.threads.create()
    run = await replica.client.runs.create(thread["thread_id"], graph, input=messages, headers=headers)
    await replica.client.runs.join(thread["thread_id"], run["run_id"])
    return str(run["run_id"])


def below(spans: list[Span], parent: Span) -> Counter[str]:
    return Counter(each.name for each in spans if each.parent_id == parent.span_id)


def named(spans: list[Span], name: str) -> Span:
    return next(each for each in spans if each.name == name)


async def test_a_run_is_one_trace_from_the_request_over_the_wait_to_nodes_models_tools_and_checkpoints(
    traced: Replica, collector: Collector
) -> None:
    run_id = await run_of(traced)

    spans = await whole(collector, run_id)

    root, attempt = named(spans, "run agent"), named(spans, "invoke_agent agent")
    assert orphans(spans) == []
    assert below(spans, root) == {"queue.wait": 1, "invoke_agent agent": 1}
    assert below(spans, attempt) == {"model": 2, "tools": 1, "checkpoint": 5}
    assert below(spans, named(spans, "model"))["GenericFakeChatModel"] == 1
    assert below(spans, named(spans, "tools")) == {"look_up": 1}
    assert root.attributes["http.request.method"] == "POST"
    assert {each.resource["service.name"] for each in spans} == {traced.services.settings.service}


async def test_its_spans_have_the_names_of_the_genai_conventions(
    traced: Replica, collector: Collector
) -> None:
    run_id = await run_of(traced)

    spans = await whole(collector, run_id)

    attempt, model, tool = (
        named(spans, name).attributes for name in ("invoke_agent agent", "GenericFakeChatModel", "look_up")
    )
    assert attempt["gen_ai.operation.name"] == "invoke_agent"
    assert (attempt["gen_ai.agent.name"], attempt["lgs.replica"], attempt["lgs.attempt"]) == ("agent", "a", 1)
    assert attempt["gen_ai.conversation.id"] == attempt["lgs.thread_id"]
    assert (model["gen_ai.operation.name"], model["gen_ai.usage.input_tokens"]) == ("chat", 7)
    assert (tool["gen_ai.operation.name"], tool["gen_ai.tool.name"]) == ("execute_tool", "look_up")


async def test_the_trace_of_a_client_goes_on_in_its_runs(traced: Replica, collector: Collector) -> None:
    trace_id = uuid4().hex
    sent = {"traceparent": f"00-{trace_id}-{PARENT}-01", "tracestate": "vendor=1", "baggage": "user=x"}

    run_id = await run_of(traced, headers=sent)

    spans = [each for each in await whole(collector, run_id) if each.trace_id == trace_id]
    assert named(spans, "run agent").parent_id == PARENT
    assert orphans(spans, client=PARENT) == []
    assert '"traceState": "vendor=1"' in named(spans, "invoke_agent agent").whole


async def test_a_client_that_does_not_sample_its_trace_has_none_of_its_runs(
    traced: Replica, collector: Collector
) -> None:
    dark = uuid4().hex

    await run_of(traced, headers={"traceparent": f"00-{dark}-{PARENT}-00"})

    # What is sent later comes later.
    await whole(collector, await run_of(traced))
    assert collector.trace(dark) == []


@pytest.mark.parametrize("way", ["wait", "stream", "batch", "stateless", "v2", "mcp", "a2a"])
async def test_a_run_has_its_trace_whichever_way_it_is_made(
    traced: Replica, collector: Collector, way: str
) -> None:
    client, trace = traced.client, uuid4().hex
    sent = {"traceparent": f"00-{trace}-{PARENT}-01"}
    thread_id = (await client.threads.create())["thread_id"]
    accepts = {"Accept": "application/json, text/event-stream"}

    async with httpx.AsyncClient(base_url=traced.url, headers={**sent, **accepts}, timeout=60) as http:
        if way == "wait":
            await client.runs.wait(thread_id, "agent", input=ASKS, headers=sent)
        elif way == "stream":
            [part async for part in client.runs.stream(thread_id, "agent", input=ASKS, headers=sent)]
        else:
            path, body = asked(way, thread_id)
            (await http.post(path, json=body)).raise_for_status()

    spans = await asyncio.to_thread(collector.wait_for_trace, trace, ended)
    assert orphans(spans, client=PARENT) == []
    assert [each.name for each in spans if each.parent_id == PARENT] == ["run agent"]


def rpc(method: str, params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def asked(way: str, thread_id: str) -> tuple[str, Any]:
    """The path, and the body, by which a run is made."""
    plain = {"assistant_id": "agent", "input": ASKS}
    called = {"name": "agent", "arguments": ASKS}
    said = {"role": "user", "messageId": "1", "parts": [{"kind": "text", "text": "trace"}]}
    return {
        "batch": ("/runs/batch", [plain]),
        "stateless": ("/runs/wait", plain),
        "v2": (f"/threads/{thread_id}/commands", {"id": 1, "method": "run.start", "params": plain}),
        "a2a": ("/a2a/agent", rpc("message/send", {"message": said})),
        "mcp": ("/mcp/", rpc("tools/call", called)),
    }[way]


async def test_the_run_of_a_cron_has_a_trace_of_its_own(traced: Replica, collector: Collector) -> None:
    thread_id = (await traced.client.threads.create())["thread_id"]
    sent = {"traceparent": f"00-{uuid4().hex}-{PARENT}-01"}
    cron: Any = await traced.client.crons.create_for_thread(
        thread_id, "agent", schedule="0 0 1 1 *", input=ASKS, headers=sent
    )
    storage = traced.services.storage
    past = await storage.now() - timedelta(minutes=5)
    due = await storage.crons.update(cron["cron_id"], {"next_run_date": past})
    await CronScheduler(traced.services).fire_due()

    spans = await whole(collector, run_id_of(due))

    assert orphans(spans) == []
    assert named(spans, "run agent").parent_id == ""
    await traced.client.crons.delete(cron["cron_id"])


async def test_a_run_that_a_run_makes_is_in_its_trace(traced: Replica, collector: Collector) -> None:
    run_id = await run_of(traced, "supervisor")

    # The inner run's attempt may be there before the outer one's.
    both = {"invoke_agent supervisor", "invoke_agent agent"}
    spans = await asyncio.to_thread(
        collector.wait_for, run_id, lambda spans: both <= {each.name for each in spans}
    )

    outer, inner = named(spans, "invoke_agent supervisor"), named(spans, "run agent")
    assert inner.parent_id == outer.span_id
    assert orphans(spans) == []


async def test_contents_do_not_leave_the_service_also_where_a_tool_raises(
    traced: Replica, collector: Collector
) -> None:
    fine, broken = await run_of(traced), await run_of(traced, word="raise")

    spans = await whole(collector, fine) + await whole(collector, broken, "error")

    assert [each.name for each in spans if SECRET in each.whole] == []
    failed = {each.name for each in spans if each.failed}
    assert failed == {"invoke_agent agent", "tools", "look_up"}
    assert named([each for each in spans if each.failed], "invoke_agent agent").attributes["error.type"] == (
        "Talkative"
    )


async def test_contents_are_shown_where_that_is_wanted(embedded: Settings, collector: Collector) -> None:
    async with open_replica(tracing(embedded, collector.url, redact=False)) as shown:
        fine, broken = await run_of(shown), await run_of(shown, word="raise")
        spans = await whole(collector, fine)
        failed = await whole(collector, broken, "error")
        asks = {"messages": [{"role": "user", "content": f"word {number}"} for number in range(40)]}
        run = await shown.client.runs.create(None, "agent", input=asks)
        long = await whole(collector, run["run_id"])

    assert SECRET in named(spans, "invoke_agent agent").attributes["output.value"]
    assert "llm.input_messages.39.message.content" in named(long, "GenericFakeChatModel").attributes
    assert "session.id" in named(long, "GenericFakeChatModel").attributes
    assert SECRET in named(spans, "look_up").whole
    assert SECRET in named(failed, "look_up").whole


async def test_a_run_whose_exception_can_not_be_printed_is_whole_where_contents_are_shown(
    embedded: Settings, collector: Collector
) -> None:
    async with open_replica(tracing(embedded, collector.url, redact=False)) as shown:
        spans = await whole(collector, await run_of(shown, word="raise what can't be printed"), "error")

    assert orphans(spans) == []
    assert named(spans, "invoke_agent agent").attributes["error.type"] == "Mute"


async def test_code_of_the_application_adds_to_the_attempts_span_and_what_it_logs_names_the_trace(
    traced: Replica, collector: Collector
) -> None:
    run_id = await run_of(traced)

    attempt = named(await whole(collector, run_id), "invoke_agent agent")
    logged = api_traced.logged[run_id]
    assert attempt.attributes["app.customer"] == "gold"
    assert (logged["run_id"], logged["trace_id"]) == (run_id, attempt.trace_id)


async def test_a_run_does_not_show_where_it_is_traced(traced: Replica) -> None:
    thread_id = (await traced.client.threads.create())["thread_id"]

    run = await traced.client.runs.create(thread_id, "agent", input=ASKS)

    assert "trace" not in run["kwargs"]
    await traced.client.runs.join(thread_id, run["run_id"])


async def test_a_run_that_is_handed_back_goes_on_in_the_same_trace(
    alone: Settings, collector: Collector
) -> None:
    api_traced.patience.clear()
    api_traced.entered.clear()
    settings = tracing(alone, collector.url)
    async with open_replica(settings) as first:
        thread_id = (await first.client.threads.create())["thread_id"]
        run = await first.client.runs.create(thread_id, "waits", input=ASKS)
        await api_traced.entered.wait()
        await first.services.worker.drain(0)
    api_traced.patience.set()
    async with open_replica(replace(settings, replica_id="b")) as second:
        await second.client.runs.join(thread_id, run["run_id"])

        spans = await whole(collector, run["run_id"])

    attempts = {of_attempt(each): each for each in spans if of_attempt(each)}
    assert orphans(spans) == []
    assert attempts["success"].links == (attempts["handed_back"].span_id,)
    assert [attempts[name].attributes["lgs.replica"] for name in ("handed_back", "success")] == ["a", "b"]


async def test_histograms_name_the_trace_of_a_run_to_who_reads_openmetrics(
    traced: Replica, collector: Collector
) -> None:
    run_id = await run_of(traced)
    trace_id = (await whole(collector, run_id))[0].trace_id

    async with httpx.AsyncClient(base_url=traced.url) as http:
        plain = await http.get("/metrics")
        page = await http.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})

    assert page.headers["content-type"].startswith("application/openmetrics-text")
    families = {each.name: each for each in text_string_to_metric_families(page.text)}
    for name in ("lgs_run_wait_seconds", "lgs_run_execution_seconds", "lgs_run_latency_seconds"):
        named_in = [each.exemplar.labels for each in families[name].samples if each.exemplar]
        assert {"trace_id": trace_id} in named_in
    assert "trace_id" not in plain.text
    assert 'lgs_trace_spans_total{result="sent"}' in plain.text


@pytest.mark.parametrize("fault", ["away", "refuses", "hangs"])
async def test_a_collector_that_takes_nothing_costs_spans_and_one_warning(
    embedded: Settings, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "LAST_SECONDS", 0.1)
    with collector_that(fault) as url, capture_logs() as logs:
        async with open_replica(tracing(embedded, url, queue=20)) as opened:
            for _ in range(6):
                run_id = await run_of(opened)
            counts = opened.services.tracing.counts
            await until(lambda: counts.of("queue_full") + counts.of("failed") > 20, "spans are lost")
            if fault == "refuses":
                await until(lambda: away(logs, url), "nobody warns of it")
            run_of_it = await opened.services.storage.runs.get(run_id)

    assert run_of_it.status == "success"
    assert counts.of("sent") == 0
    warned = away(logs, url)
    assert len(warned) <= 1
    if fault == "refuses":
        assert "401" in warned[0]["reason"]


def away(logs: Sequence[Any], url: str) -> list[Any]:
    """The warnings that this collector takes nothing."""
    return [each for each in logs if each["event"] == "tracing.collector_away" and url in each["endpoint"]]


@contextmanager
def collector_that(fault: str) -> Iterator[str]:
    released = threading.Event()

    class Faulty(QuietHandler):
        def do_POST(self) -> None:
            if fault == "hangs":
                released.wait(60)
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()

    if fault == "away":
        yield f"http://127.0.0.1:{free_port()}"
        return
    with http_stub(Faulty) as url:
        try:
            yield url
        finally:
            released.set()


async def test_a_header_that_cant_be_read_keeps_no_run_from_its_trace(
    traced: Replica, collector: Collector
) -> None:
    sent = {"traceparent": "00-ab", "tracestate": "=,=", "baggage": "x" * 9000}

    run_id = await run_of(traced, headers=sent)

    assert orphans(await whole(collector, run_id)) == []


async def test_without_the_packages_a_replica_serves_and_says_what_to_install(
    embedded: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lgs_runtime.tracing.tracer", None)
    with capture_logs() as logs:
        async with open_replica(tracing(embedded, "http://127.0.0.1:9")) as bare:
            run_id = await run_of(bare)
            run = await bare.services.storage.runs.get(run_id)

    assert run.status == "success"
    (said,) = [each for each in logs if each["event"] == "tracing.not_installed"]
    assert said["install"] == "lgs-runtime[tracing]"


def test_a_replica_that_traces_nothing_imports_nothing_of_it() -> None:
    # In a process of its own: others of this one do trace. LangSmith imports the SDK's core.
    code = (
        "import sys, lgs_runtime.server, lgs_runtime.api.app; "
        "print([m for m in sys.modules if m.startswith(('opentelemetry.exporter', 'openinference', "
        "'lgs_runtime.tracing.tracer'))])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"


def ended(spans: list[Span]) -> bool:
    return "success" in [of_attempt(each) for each in spans]
