"""What `lgs up` says of circuit breakers: a line when one opens, is tried, and closes, for all replicas
together."""

from __future__ import annotations

import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from lgs_operator.local.circuits import Circuits
from lgs_runtime.breaker.circuit import Circuit
from lgs_runtime.breaker.policy import Policy
from lgs_runtime.breaker.state_machine import Permit, Result

OPENED = (
    "graph agent: its circuit is open: 6 of 10 runs failed (60%, and 10% are too many); new runs are "
    "answered 503, those that wait are kept; tried again in 30 s"
)
TRIED = "graph agent: its circuit is half-open: 3 runs are tried, and decide"
CLOSED = "graph agent: its circuit is closed: runs are taken again"


def line(event: str, **more: Any) -> str:
    told = {"event": f"circuit.{event}", "kind": "graph", "circuit": "agent", "level": "info"}
    if event == "open":
        counts = {"calls": 10, "failures": 6, "slow": 0, "failure_threshold": 0.1}
        told |= {"before": "closed", **counts, "retry_after_seconds": 30.0}
    if event == "half_open":
        told |= {"probes": 3}
    return json.dumps({**told, **more})


def heard(*logged: tuple[str, str]) -> list[str]:
    circuits = Circuits()
    return [said for replica, written in logged for said in circuits.changes(replica, [written])]


def test_a_circuit_is_told_of_as_it_opens_is_tried_and_closes() -> None:
    log = [line("open"), '{"event": "run.finished"}', "words", line("half_open"), line("closed")]

    assert list(Circuits().changes("a", log)) == [OPENED, TRIED, CLOSED]


def test_replicas_that_share_a_circuit_are_one_and_it_is_closed_when_it_is_in_all() -> None:
    said = heard(
        ("a", line("open")),
        ("b", line("open")),
        ("a", line("half_open")),
        ("a", line("open", before="half-open", calls=3, failures=3)),
        ("b", line("half_open")),
        ("b", line("closed")),
        ("a", line("closed")),
    )

    assert said == [OPENED, TRIED, OPENED.replace("6 of 10", "3 of 3").replace("60%", "100%"), TRIED, CLOSED]


def test_a_circuit_that_was_open_in_a_replica_that_is_gone_is_closed() -> None:
    circuits = Circuits()
    list(circuits.changes("a", [line("open")]))
    list(circuits.changes("b", [line("open"), line("closed")]))

    assert list(circuits.ended("a")) == [CLOSED]
    assert list(circuits.ended("b")) == []


@pytest.mark.parametrize(
    ("opened", "words"),
    [
        (
            {"kind": "code", "circuit": "model"},
            "circuit model is open: 6 of 10 calls failed (60%, and 10% are too many); calls are refused; "
            "tried again in 30 s",
        ),
        (
            {"slow": 9, "failures": 0, "slow_call_threshold": 0.5},
            "graph agent: its circuit is open: 9 of 10 runs were slow (90%, and 50% are too many)",
        ),
        (
            {"calls": 0, "failures": 0},
            "graph agent: its circuit is open: too many runs failed in another replica;",
        ),
    ],
)
def test_it_says_which_calls_were_too_many_of_what(opened: dict[str, Any], words: str) -> None:
    (said,) = heard(("a", line("open", **opened)))

    assert said.startswith(words)


@pytest.mark.parametrize(
    "written",
    [
        '{"circuit.',
        '["circuit."]',
        '{"event": "circuit.open"}',
        '"circuit.open"',
        '{"event": ["circuit.open"], "kind": "graph", "circuit": "a"}',
        line("open", circuit=["a"]),
        line("open", calls="many"),
        '"circuit."' + "[" * 100_000,
        '[["circuit."' + "[" * 100_000,
    ],
    ids=lambda written: written[:40],
)
def test_what_is_no_event_of_a_circuit_is_none(written: str) -> None:
    assert heard(("a", written)) == []


def test_what_a_replica_logs_is_what_is_read() -> None:
    now = [0.0]
    policy = Policy(
        minimum_calls=4, failure_threshold=0.5, recovery_timeout=10.0, probes=2, slow_call_seconds=5.0
    )
    circuit = Circuit("agent", policy, kind="graph", clock=lambda: now[0])

    def ended(result: Result) -> None:
        permit: Permit = circuit.acquire()
        circuit.report(permit, result)

    with capture_logs() as logs:
        for _ in range(4):
            ended(Result.FAILURE)
        now[0] = 10.0
        for _ in range(2):
            ended(Result.SUCCESS)

    said = list(Circuits().changes("a", map(json.dumps, logs)))
    assert [each.split(" is ")[1].split(":")[0] for each in said] == ["open", "half-open", "closed"]
    assert "4 of 4 runs failed (100%, and 50% are too many)" in said[0]
    assert said[0].endswith("tried again in 10 s")
