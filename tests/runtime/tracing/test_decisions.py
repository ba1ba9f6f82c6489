"""What is decided of a trace: its ids, its parent, whether it is sampled, what may be said in it. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgs_runtime.errors import ConfigError
from lgs_runtime.model import Priority, Run
from lgs_runtime.tracing.identity import attempt_id_of, earlier_attempt_id_of, root_id_of, trace_id_of
from lgs_runtime.tracing.propagation import (
    incoming_of,
    parent_of,
    trace_of_request,
    trace_of_run,
    written,
)
from lgs_runtime.tracing.redaction import without_contents
from lgs_runtime.tracing.sampling import is_sampled
from lgs_runtime.tracing_options import TracingOptions, tracing_of
from lgs_runtime.variables import Variables

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TRACE, SPAN = "a1" * 16, "b2" * 8
RUN_ID = "01a2268f-bd42-7310-a779-51aef420402e"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


def run_of(attempt: int = 1, *, handed_back: bool = False, claimed: int = 0) -> Run:
    return Run(
        run_id=RUN_ID,
        thread_id="t",
        assistant_id="a",
        status="running",
        priority=Priority.NORMAL,
        metadata={},
        kwargs={},
        multitask_strategy="enqueue",
        attempt=attempt,
        error=None,
        cancel_requested=None,
        created_at=NOW,
        updated_at=NOW,
        due_at=NOW,
        claimed_at=NOW + timedelta(seconds=claimed),
        handed_back=handed_back,
    )


def traced(headers: dict[str, str], *, ratio: float = 1.0, parent_based: bool = True) -> object:
    request = incoming_of("POST", "/runs", headers, 1, ratio=ratio, parent_based=parent_based)
    return trace_of_request(RUN_ID, request)


@given(st.uuids())
def test_every_replica_works_out_the_same_trace_for_a_run_and_another_for_another(run_id: UUID) -> None:
    other = UUID(int=run_id.int ^ 1)

    assert trace_id_of(str(run_id)) == trace_id_of(str(run_id)) != trace_id_of(str(other))
    assert 0 < root_id_of(str(run_id)) < 1 << 64


def test_a_share_of_the_runs_is_sampled_though_their_ids_are_not_random_in_each_bit() -> None:
    ids = [f"01a2268f-bd42-7310-a779-{number:012x}" for number in range(4000)]

    sampled = sum(is_sampled(trace_id_of(each), 0.25) for each in ids)

    assert 800 < sampled < 1200
    assert not any(is_sampled(trace_id_of(each), 0.0) for each in ids)
    assert all(is_sampled(trace_id_of(each), 1.0) for each in ids)


def test_attempts_have_spans_of_their_own_also_those_that_are_not_charged() -> None:
    attempts = [
        run_of(1),
        run_of(1, handed_back=True, claimed=1),
        run_of(1, handed_back=True, claimed=2),
        run_of(2, handed_back=True, claimed=3),
    ]

    assert len({attempt_id_of(each) for each in attempts}) == 4


def test_an_attempt_goes_on_from_the_one_before_it_and_the_first_from_none() -> None:
    assert earlier_attempt_id_of(run_of(1)) is None
    assert earlier_attempt_id_of(run_of(2, claimed=9)) == attempt_id_of(run_of(1))
    assert earlier_attempt_id_of(run_of(3)) == attempt_id_of(run_of(2))
    assert earlier_attempt_id_of(run_of(1, handed_back=True)) == attempt_id_of(run_of(1))


def test_the_trace_of_the_client_goes_on_with_its_state_and_baggage() -> None:
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "a=1, b=2", "baggage": "user=x"}

    trace = traced(headers)

    assert (trace.hex, trace.parent_id, trace.sampled) == (TRACE, int(SPAN, 16), True)
    assert (trace.tracestate, trace.baggage) == ("a=1,b=2", "user=x")
    assert trace_of_run(RUN_ID, trace.to_json(), ratio=0.0) == trace


@pytest.mark.parametrize(
    ("flags", "parent_based", "ratio", "sampled"),
    [("00", True, 1.0, False), ("01", True, 0.0, True), ("01", False, 0.0, False), ("00", False, 1.0, True)],
)
def test_the_client_decides_whether_its_trace_is_sampled_unless_told_otherwise(
    flags: str, parent_based: bool, ratio: float, sampled: bool
) -> None:
    trace = traced({"traceparent": f"00-{TRACE}-{SPAN}-{flags}"}, ratio=ratio, parent_based=parent_based)

    assert trace.sampled is sampled


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-0x",
    ],
)
def test_a_parent_that_cant_be_read_is_none(header: str) -> None:
    assert parent_of(header) is None


def test_a_later_version_of_the_header_is_read_as_far_as_it_is_known() -> None:
    assert parent_of(f"01-{TRACE}-{SPAN}-03-more") == parent_of(f"00-{TRACE}-{SPAN}-01")


@given(st.dictionaries(st.sampled_from(["traceparent", "tracestate", "baggage"]), st.text()))
def test_whatever_a_client_sends_makes_a_trace_that_is_stored_and_read(headers: dict[str, str]) -> None:
    trace = traced(headers)

    assert trace_of_run(RUN_ID, trace.to_json(), ratio=1.0) == trace


@given(st.none() | st.text() | st.dictionaries(st.text(), st.text() | st.none() | st.integers()))
def test_what_is_stored_and_cant_be_read_is_a_trace_by_the_runs_id(stored: object) -> None:
    assert trace_of_run(RUN_ID, stored, ratio=1.0).trace_id == trace_id_of(RUN_ID)


@given(st.integers(1, (1 << 128) - 1), st.integers(1, (1 << 64) - 1), st.booleans())
def test_what_is_written_is_read(trace: int, span: int, sampled: bool) -> None:
    parent = parent_of(written(trace, span, sampled))

    assert parent is not None
    assert (parent.trace_id, parent.span_id, parent.sampled) == (trace, span, sampled)


@given(st.dictionaries(st.text(), st.text()))
def test_attributes_that_nobody_knows_say_nothing(attributes: dict[str, str]) -> None:
    assert without_contents({f"llm.input_messages.{name}": text for name, text in attributes.items()}) == {}


def test_models_tokens_and_tools_are_named() -> None:
    said = {"gen_ai.usage.input_tokens": 3, "llm.model_name": "m", "tool.name": "t"}
    more = {"gen_ai.input.messages": "x", "metadata": "x", "tool.parameters": "x", "input.value": "x"}

    assert without_contents({**said, **more, "gen_ai.request.stop_sequences": "x"}) == said


def options(**variables: str) -> TracingOptions | None:
    return tracing_of(Variables(variables))


def test_nothing_is_traced_before_an_endpoint_is_named() -> None:
    assert options() is None
    assert options(OTEL_SERVICE_NAME="x", OTEL_TRACES_SAMPLER="always_on") is None
    assert options(**{ENDPOINT: "http://c:4318"}, OTEL_SDK_DISABLED="true") is None
    assert options(**{ENDPOINT: "http://c:4318"}, OTEL_TRACES_EXPORTER="none") is None


def test_the_standards_names_say_where_spans_go_and_with_what() -> None:
    found = options(
        **{ENDPOINT: "https://c:4318/otlp/"},
        OTEL_EXPORTER_OTLP_HEADERS="Authorization=Basic%20abc,x-key = 1",
        OTEL_TRACES_SAMPLER="parentbased_traceidratio",
        OTEL_TRACES_SAMPLER_ARG="0.1",
        OTEL_BSP_MAX_QUEUE_SIZE="10",
        OTEL_BSP_SCHEDULE_DELAY="200",
        LGS_TRACING_REDACT="false",
    )

    assert found == TracingOptions(
        "https://c:4318/otlp/v1/traces",
        (("authorization", "Basic abc"), ("x-key", "1")),
        ratio=0.1,
        redact=False,
        queue=10,
        delay_seconds=0.2,
    )
    assert options(
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="http://c/x", **{ENDPOINT: "http://d"}
    ) == TracingOptions("http://c/x")
    assert options(OTEL_TRACES_EXPORTER="otlp") == TracingOptions("http://localhost:4318/v1/traces")
    assert options(**{ENDPOINT: "http://c"}, OTEL_TRACES_SAMPLER="always_off") == replace(
        TracingOptions("http://c/v1/traces"), ratio=0.0, parent_based=False
    )


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({ENDPOINT: "collector:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT: collector:4318: must be an address"),
        ({ENDPOINT: "http://"}, "must be an address"),
        ({ENDPOINT: "http://c:x"}, "must be an address"),
        ({ENDPOINT: "http://c", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "must be http/protobuf"),
        ({ENDPOINT: "http://c", "OTEL_TRACES_EXPORTER": "zipkin"}, "must be otlp or none"),
        ({ENDPOINT: "http://c", "OTEL_TRACES_SAMPLER": "xray"}, "must be one of always_on"),
        (
            {ENDPOINT: "http://c", "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"},
            "OTEL_TRACES_SAMPLER_ARG: 2: must be at most 1",
        ),
        ({ENDPOINT: "http://c", "LGS_TRACING_REDACT": "maybe"}, "LGS_TRACING_REDACT: maybe: must be true"),
    ],
)
def test_what_cant_work_is_said_by_its_name(variables: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        options(**variables)


@pytest.mark.parametrize("headers", ["s3cret", "=s3cret", "x key=s3cret", "x=s3cret%0a"])
def test_headers_that_are_wrong_are_refused_without_being_shown(headers: str) -> None:
    with pytest.raises(ConfigError, match="OTEL_EXPORTER_OTLP_HEADERS") as refused:
        options(**{ENDPOINT: "http://c"}, OTEL_EXPORTER_OTLP_HEADERS=headers)

    assert "s3cret" not in str(refused.value)
    assert "s3cret" not in repr(options(**{ENDPOINT: "http://c"}, OTEL_EXPORTER_OTLP_HEADERS="x=s3cret"))
