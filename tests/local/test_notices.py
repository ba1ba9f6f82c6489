"""What `lgs up` says of its replicas' warnings: what a user must know, once, in words, and when it is
over."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from string import Formatter
from typing import Any

from lgs_operator.local.notices import MOST, OVER, PROBLEMS, SAID_OTHERWISE, Notices
from lgs_operator.local.worker_log import in_vain, readable, waiting

RUNTIME = Path(__file__).parents[2] / "runtime" / "src" / "lgs_runtime"
AWAY = {
    "event": "tracing.collector_away",
    "level": "warning",
    "endpoint": "http://c:4318",
    "reason": "refused",
}
BACK = {"event": "tracing.collector_back", "level": "info", "endpoint": "http://c:4318", "lost": 12}
IS_AWAY = "the collector at http://c:4318 is away (refused): traces are lost meanwhile"
IS_BACK = "the collector at http://c:4318 is back: traces are sent again, 12 spans were lost"


def said(*logged: tuple[str, dict[str, Any]], notices: Notices | None = None) -> list[str]:
    it = notices or Notices()
    return [line for replica, record in logged for line in it.of(replica, [json.dumps(record)])]


def test_what_several_replicas_meet_is_said_once_and_is_over_when_it_is_in_all() -> None:
    heard = said(("a", AWAY), ("b", AWAY), ("a", AWAY), ("a", BACK), ("b", BACK), ("a", AWAY))

    assert heard == [IS_AWAY, IS_BACK, IS_AWAY]


def test_a_replica_that_is_gone_keeps_nobody_waiting_for_its_end_of_it() -> None:
    notices = Notices()
    said(("a", AWAY), ("b", AWAY), notices=notices)

    assert list(notices.ended("b")) == []
    assert said(("a", BACK), notices=notices) == [IS_BACK]


def test_one_in_the_place_of_another_says_nothing_again() -> None:
    notices = Notices()
    said(("a", AWAY), notices=notices)
    list(notices.ended("a"))

    assert said(("b", AWAY), notices=notices) == []


def test_two_functions_that_are_not_cached_are_two_things() -> None:
    first = {"event": "cache.no_key", "level": "warning", "namespace": "shop.price", "reason": "no key"}
    second = {**first, "namespace": "shop.stock"}

    heard = said(("a", first), ("a", second), ("b", second))

    assert heard == ["shop.price is not cached: no key", "shop.stock is not cached: no key"]


def test_another_warning_of_the_runtime_is_said_as_it_is_logged_and_not_for_each_run() -> None:
    given_up = {"event": "webhook.given_up", "level": "error", "reason": "404"}
    broke = {"event": "run.broke", "level": "error", "exception": "Traceback: ..."}

    heard = said(("a", {**given_up, "run_id": "1"}), ("b", {**given_up, "run_id": "2"}), ("b", broke))

    assert heard == [
        "error: webhook.given_up reason=404 run_id=1",
        "error: run.broke; the log of b has its traceback",
    ]


def test_a_circuit_that_opens_is_one_line() -> None:
    notices = Notices()
    counts = {"calls": 8, "failures": 4, "slow": 0, "failure_threshold": 0.5, "retry_after_seconds": 5.0}
    circuit = {"circuit": "agent", "kind": "graph", "run_id": "1"}
    opened = {"event": "circuit.open", "level": "warning", "before": "closed", **circuit, **counts}

    heard = said(("a", opened), ("b", opened), notices=notices)

    assert heard == [
        "graph agent: its circuit is open: 4 of 8 runs failed (50%, and 50% are too many); new runs are "
        "answered 503, those that wait are kept; tried again in 5 s"
    ]
    assert readable([json.dumps(opened)], notices.lines) == []


def test_a_warning_of_the_application_that_is_called_like_a_circuit_s_is_said_as_it_is() -> None:
    heard = said(("a", {"event": "circuit.open", "level": "warning", "room": "4"}))

    assert heard == ["warning: circuit.open room=4"]


def test_what_is_no_warning_or_no_word_of_the_runtime_stays_in_the_log() -> None:
    logs: list[dict[str, Any]] = [
        {"event": "run.finished", "level": "info"},
        {"event": "Order 17 is late", "level": "warning"},
        {"event": 7, "level": "error"},
        {"event": ["a.b"], "level": "error"},
        {"event": "order.late", "level": ["error"]},
        {"event": "cache.redis_failed", "level": "warning", "namespace": "(redis)"},
    ]

    assert said(*[("a", record) for record in logs]) == []
    assert list(Notices().of("a", ["Traceback", "{", "[]", '"cache.redis_gone"', '{"level": "error"}'])) == []


def test_a_record_under_a_known_name_that_lacks_what_is_said_of_it_harms_nobody() -> None:
    records: list[dict[str, Any]] = [{"event": event} for event in PROBLEMS]
    records += [{"event": event, "reason": {"{x}": ["[/red]"]}, "level": [3]} for event in PROBLEMS]
    records += [{"event": event} for event in OVER]
    said(("a", {"event": "config.unknown_keys", "level": "warning", "keys": 7}))

    heard = said(*[("a", record) for record in records])

    assert len(heard) == len(PROBLEMS) + len(OVER)
    assert any("unknown" in line for line in heard)


def test_however_much_goes_wrong_it_is_no_flood() -> None:
    records = [{"event": f"thing.no_{number}", "level": "error"} for number in range(10 * MOST)]

    assert len(said(*[("a", record) for record in records])) == MOST


def test_what_lgs_has_said_of_a_langgraph_json_its_worker_does_not_say_again() -> None:
    notes = (
        "langgraph.json: foo: is no key of langgraph.json and has no effect",
        "langgraph.json: env: .env: no such file: what it should set must come from the environment",
    )
    missing = {"event": "config.env_file_missing", "level": "warning", "file": ".env"}
    unknown = {"event": "config.unknown_keys", "level": "warning", "keys": ["foo"]}
    others = [
        {**missing, "file": "other.env"},
        {**unknown, "keys": ["foo", "bar"], "where": "langgraph.json: http", "known": ["app"]},
        {"event": "studio.open", "level": "warning", "reason": "who says to be Studio gets in"},
    ]
    log = [json.dumps(record) for record in (missing, unknown, *others)]

    notices = Notices()
    assert list(notices.of("a", log, notes)) == [
        "other.env is not there: what it should set must come from the environment",
        "langgraph.json: http: foo, bar: no key that is known there, without effect; known are app",
        "who says to be Studio gets in",
    ]
    assert readable(log, notices.lines) == [], "nor when its start failed"


def test_an_error_of_several_lines_is_said_in_one() -> None:
    raised = {"event": "run.raised", "level": "error", "error": "ValueError", "message": "no\nFor more: x\n"}

    (line,) = Notices().of("a", [json.dumps(raised)])

    assert line == "a run failed: ValueError: no For more: x; the log of a has its traceback"


def test_what_was_said_the_log_of_a_failed_start_does_not_say_again() -> None:
    notices = Notices()
    log = [json.dumps(AWAY), "LGS_LEASE_SECONDS: abc: must be a number"]
    list(notices.of("a", log))

    assert readable(log, {log[-1], *notices.lines}) == []
    assert readable(["other", *log], {log[-1], *notices.lines}) == ["other"]


def test_a_variable_at_fault_is_not_waited_for_as_if_a_file_could_mend_it() -> None:
    wrong, missing = "LGS_LEASE_SECONDS: abc: must be a number", "it raised: KeyError: 'SUPABASE_URL'"
    files = "waiting for a change of the files"

    assert in_vain(wrong, {"LGS_LEASE_SECONDS": "abc"}, {}, "/a") == (
        "LGS_LEASE_SECONDS is set in the environment of lgs up: set it anew, and start lgs up again"
    )
    assert in_vain(wrong, {}, {}, "/a") is None
    assert in_vain(missing, {"SUPABASE_URL": "x"}, {}, "/a") is None
    assert waiting(missing, {"SUPABASE_URL": "x"}) == (
        f"{files}; if SUPABASE_URL of the environment is wrong, set it anew and start lgs up again"
    )
    assert waiting(missing, {}) == (
        f"{files}; if SUPABASE_URL belongs in the environment, set it there and start lgs up again"
    )
    assert waiting("graphs.agent: ./graph.py:graph: it raised: RuntimeError: NO", {"NO": "1"}) == files
    by_manifest = {"LGS_CIRCUIT_BREAKER": "{}"}
    assert waiting("LGS_CIRCUIT_BREAKER.graphs.b: unknown: must be one of a", {}, by_manifest) == files
    torn = "DATABASE_URI: sqlite:////app/.lgs/a/lgs.db: must be a SQLite file that can be written"
    assert in_vain(torn, {}, {}, "/app/.lgs/a") == (
        "mend what is in /app/.lgs/a, or move it away, and start lgs up again"
    )
    refused, flags = "DATABASE_URI: mysql://x/y: must be sqlite:///path", {"DATABASE_URI": "--database-uri"}
    assert in_vain(refused, {"DATABASE_URI": "sqlite:///a.db"}, flags, "/a") == (
        "--database-uri says DATABASE_URI: start lgs up with another"
    )


def logged() -> dict[str, list[set[str]]]:
    """By event: what the runtime names of it, of each place that logs it."""
    found: dict[str, list[set[str]]] = {}
    for path in sorted(RUNTIME.rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(call, ast.Call):
                continue
            names = {str(keyword.arg) for keyword in call.keywords}
            if ast.unparse(call.func).endswith("statistics.failed"):
                # It is given the namespace, the event and the reason, and logs under these names.
                names |= {"namespace", "reason"}
            if ast.unparse(call.func) == "log_failure" and isinstance(call.args[0], ast.Constant):
                found.setdefault(f"{call.args[0].value}.failed", []).append({"reason"})
            for each in (part for value in call.args for part in ast.walk(value)):
                if isinstance(each, ast.Constant) and isinstance(each.value, str):
                    found.setdefault(each.value, []).append(names)
    return found


def test_the_runtime_logs_these_events_with_what_is_said_of_them() -> None:
    worded = PROBLEMS | {event: words for event, (_, words) in OVER.items()}
    places = logged()

    said = [
        (event, field)
        for event, words in worded.items()
        for _, field, _, _ in Formatter().parse(words)
        if field and field != "replica"
    ]

    assert {*worded, *SAID_OTHERWISE} - places.keys() == set(), "the runtime logs no such event"
    assert [(event, field) for event, field in said for names in places[event] if field not in names] == []
