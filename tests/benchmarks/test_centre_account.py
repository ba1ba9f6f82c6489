"""What a play of the centre comes to: account, panel, picture, and what the service did by itself."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from xml.etree import ElementTree

import orjson
import pytest
import yaml
from bench.centre import example
from bench.centre.account import Account, Interrupted, Sample, Turn, contradict, interrupted, targets
from bench.centre.course import course
from bench.centre.customers import Question
from bench.centre.event_stream import Heard
from bench.centre.happenings import Happening, Logged, logged, records, replaced, scaled, told
from bench.centre.panel import NOTHING, missed, panel, short
from bench.centre.phases import phases
from bench.centre.play import SHOWS, begins
from bench.centre.service import Size, manifest_of, model_seconds
from bench.centre.watch import lookups_of


def turn(at: float, total: float = 1.5, model: float | None = 1.0, **more: object) -> Turn:
    return Turn(at=at, intent="delivery", priority="normal", total=total, model=model, **more)  # type: ignore[arg-type]


GOOD = Account(
    customers=40,
    most_online=38,
    seconds=100.0,
    plan=phases(100.0),
    turns=[turn(number / 20, run_id=f"run-{number}") for number in range(2000)],
    samples=[
        Sample(0.0, 2, {"replicas": 0.0, "PostgreSQL": 0.0}, 0.0, {"replicas": 250.0}),
        Sample(50.0, 4, {"replicas": 20.0, "PostgreSQL": 5.0}, 80.0, {"replicas": 520.0}),
        Sample(100.0, 3, {"replicas": 40.0, "PostgreSQL": 10.0}, 150.0, {"replicas": 400.0}),
    ],
    cores=2,
    hits=900,
    misses=100,
    interrupted=[Interrupted("run-1", "killed", True)],
    happenings=[Happening(12.0, "scaled out by 2, to 4 replicas: why")],
)


def test_a_play_that_holds_everything_misses_nothing() -> None:
    assert missed(GOOD) == []


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"turns": [turn(1.0, total=4.0) for _ in range(100)]}, "the service adds"),
        ({"turns": [*GOOD.turns[:990], *(turn(1.0, problem="status 500") for _ in range(10))]}, "success"),
        ({"turns": [*GOOD.turns[:990], *(turn(1.0, problem="status 500") for _ in range(10))]}, "errors"),
        ({"interrupted": [*GOOD.interrupted, Interrupted("run-2", "killed", False)]}, "sessions recovered"),
        ({"hits": 84, "misses": 16}, "cache hit rate"),
    ],
)
def test_each_target_can_be_missed(change: dict[str, object], name: str) -> None:
    assert name in {target.name for target in missed(replace(GOOD, **change))}  # type: ignore[arg-type]


def test_what_was_not_measured_is_missed_and_shown_as_no_number() -> None:
    nothing = replace(GOOD, turns=[], samples=[], hits=0, misses=0, interrupted=[], happenings=[])

    assert {target.measured for target in targets(nothing)} == {None}
    assert len(missed(nothing)) == len(targets(nothing))
    assert f"| success | {NOTHING} | ≥ 99.9 % | **no** |" in panel(nothing)
    assert "| sessions recovered | none was interrupted | 100 % | **no** |" in panel(nothing)


def test_a_model_whose_time_is_unknown_says_nothing_of_what_the_service_adds() -> None:
    unknown = replace(GOOD, turns=[turn(1.0, model=None)])

    assert unknown.added == []
    assert f"| the service adds, s | {NOTHING} |" in panel(unknown)


def test_the_panel_shows_each_number_with_its_target() -> None:
    shown = panel(GOOD)

    assert "| customers online | 38 at most, of 40 |  |  |" in shown
    assert "| requests a second | 20.0 over 100 s, 20.0 in the busiest 10 s |" in shown
    assert "| the service adds, s | mean 0.50, p50 0.50, p95 0.50, p99 0.50 | p95 < 2 s | yes |" in shown
    assert "| success | 100.00 % (2000 of 2000) | ≥ 99.9 % | yes |" in shown
    assert (
        "| sessions recovered | 1 of 1 interrupted (1 as their replica was killed) | 100 % | yes |" in shown
    )
    assert "| cache hit rate | 90.00 % (900 of 1000) | ≥ 85 % | yes |" in shown
    assert "| CPU, cores | replicas 0.40, PostgreSQL 0.10, others 1.00, of 2 |" in shown
    assert "| CPU of a turn, ms | replicas 20.0, PostgreSQL 5.0 |" in shown
    assert "| memory, MiB at most | replicas 520 |" in shown
    assert "| replicas | 2 at the start, 4 at most: 2 added |" in shown
    assert "| 12 s | scaled out by 2, to 4 replicas: why |" in shown


def test_the_short_form_has_rows_of_the_whole_one_and_the_log() -> None:
    rows = short(GOOD).splitlines()

    assert set(rows) < set(panel(GOOD).splitlines())
    assert "| 12 s | scaled out by 2, to 4 replicas: why |" in rows


def test_the_course_is_a_picture_with_a_line_for_load_replicas_and_latency() -> None:
    found = ElementTree.fromstring(course(GOOD))

    lines = [each for each in found.iter() if each.tag.endswith("polyline")]
    texts = [each.text or "" for each in found.iter() if each.tag.endswith("text")]
    assert [len((line.get("points") or "").split()) for line in lines] == [20, 3, 20]
    assert {"spike", "kill", "redis"} <= set(texts)
    assert "replicas ready: 4.0 at most" in texts


HELD = [("run-1", "a", "killed"), ("run-2", "b", "restarted")]
RIGHT = [turn(1.0, run_id="run-1"), turn(1.0, run_id="run-2")]


def test_a_session_of_a_killed_replica_is_recovered_when_its_customer_has_the_answer() -> None:
    found = interrupted(HELD[:1], {"run-1": "success"}, {"run-1": "c"}, RIGHT)

    assert found == [Interrupted("run-1", "killed", True)]


@pytest.mark.parametrize(
    ("statuses", "turns"),
    [
        ({"run-1": "error"}, RIGHT),
        ({"run-1": "pending"}, RIGHT),
        ({}, RIGHT),
        ({"run-1": "success"}, [turn(1.0, run_id="run-1", problem="no answer within 120 s")]),
        ({"run-1": "success"}, []),
    ],
)
def test_a_session_without_its_end_or_its_answer_is_not_recovered(
    statuses: dict[str, str], turns: list[Turn]
) -> None:
    assert interrupted(HELD[:1], statuses, {"run-1": "c"}, turns) == [Interrupted("run-1", "killed", False)]


def test_what_a_replica_finishes_before_it_ends_was_not_interrupted() -> None:
    statuses = {"run-2": "success"}

    assert interrupted(HELD[1:], statuses, {"run-2": "b"}, RIGHT) == []
    assert interrupted(HELD[1:], statuses, {"run-2": "c"}, RIGHT) == [Interrupted("run-2", "restarted", True)]


def test_an_answer_that_a_run_asked_twice_counts_once() -> None:
    written = [
        {"run_id": run, "call": call, "seconds": seconds}
        for run, call, seconds in (("a", 1, 0.5), ("a", 1, 0.5), ("a", 2, 1.0), ("b", 1, 0.25))
    ]

    assert model_seconds(written) == {"a": 1.5, "b": 0.25}


def test_one_question_has_one_answer_for_all_who_begin_with_it() -> None:
    turns = [
        *(turn(1.0, question="How much?", answer="4.90", opening=True) for _ in range(3)),
        turn(1.0, question="How much?", answer="of somebody else", opening=True),
        turn(1.0, question="How much?", answer="4.90, from the handbook", opening=True, fallback=True),
        turn(1.0, question="How much?", answer="to Norway 12.90"),
    ]

    contradict(turns)

    assert [each.problem is None for each in turns] == [True, True, True, False, True, True]


STREAM = (
    b'event: metadata\ndata: {"run_id":"run-1","attempt":1}\nid: 1\n\n: heartbeat\n\n'
    b'event: messages\ndata: [{"content":"It "},{}]\nid: 2\n\n'
    b'event: messages\ndata: [{"content":"costs"},{}]\nid: 3\n\n'
    b'event: updates\ndata: {"understand":{"intent":"delivery"}}\nid: 4\n\n'
    b'event: updates\ndata: {"check":{"messages":[{"type":"ai","content":"It costs"}]}}\nid: 5\n\n'
)


@pytest.mark.parametrize("size", [1, 7, len(STREAM)])
def test_a_stream_is_heard_whatever_its_pieces(size: int) -> None:
    heard = Heard()

    for at in range(0, len(STREAM), size):
        heard.feed(STREAM[at : at + size])

    assert (heard.run_id, heard.last_id, heard.pieces, heard.error) == ("run-1", "5", 2, None)
    assert example.answer_in(heard) == "It costs"


def test_what_a_cut_left_by_half_comes_again() -> None:
    heard = Heard()

    heard.feed(STREAM[:-10])
    heard.cut()
    heard.feed(STREAM[STREAM.index(b'event: updates\ndata: {"check') :])

    assert heard.last_id == "5"
    assert len(heard.updates) == 2


def test_an_answer_that_was_not_heard_is_taken_from_what_the_run_left() -> None:
    heard, asked = Heard(run_id="run-1"), turn(0.0)

    assert example.lacks(heard)
    example.judge(heard, {"messages": [{"type": "ai", "content": f"{example.AWAY}; look"}]}, asked)

    assert (asked.problem, asked.fallback) == (None, True)


@pytest.mark.parametrize("left", [None, {}, {"messages": [{"type": "human", "content": "When?"}]}])
def test_a_turn_without_an_answer_of_the_service_is_wrong(left: object) -> None:
    asked = turn(0.0)

    example.judge(Heard(run_id="run-1"), left, asked)

    assert asked.problem is not None


def test_a_run_that_failed_is_wrong_whatever_was_said_before() -> None:
    heard, asked = Heard(), turn(0.0)
    heard.feed(STREAM + b'event: error\ndata: {"error":"ModelUnavailable"}\n\n')

    example.judge(heard, None, asked)

    assert "ModelUnavailable" in (asked.problem or "")


def line(event: str, at: float, replica: str = "a", **more: object) -> Logged:
    return Logged(at, event, replica, {"event": event, **more})


def test_decisions_for_another_number_of_replicas_are_told_with_their_reason() -> None:
    history = [
        {"at": float(at), "wanted": wanted, "reason": "why"} for at, wanted in enumerate((2, 2, 4, 4, 3))
    ]

    assert scaled(history) == [
        Happening(2.0, "scaled out by 2, to 4 replicas: why"),
        Happening(4.0, "scaled in by 1, to 3 replicas: why"),
    ]


def test_what_several_replicas_say_of_one_thing_is_told_once() -> None:
    opened = {"circuit": "model", "calls": 20, "failures": 12, "slow": 3}

    found = told(
        [
            line("run.resumed", 12.0),
            line("circuit.open", 30.5, "b", circuit="model", calls=0, failures=0),
            line("circuit.open", 30.0, "a", **opened),
            line("run.resumed", 13.0, "b"),
            line("run.resumed", 90.0),
            line("run.finished", 13.0),
            line("circuit.half_open", 40.0, circuit="model"),
            line("circuit.half_open", 41.0, "b", circuit="model"),
            line("circuit.closed", 60.0, circuit="model"),
        ]
    )

    assert found == [
        Happening(12.0, "recovered 2 sessions: from the last checkpoint (in 2 replicas)"),
        Happening(30.0, "opened the breaker `model`: of 20 calls 12 failed and 3 were slow (in 2 replicas)"),
        Happening(40.0, "tried the breaker `model` by probes (in 2 replicas)"),
        Happening(60.0, "closed the breaker `model`"),
        Happening(90.0, "recovered 1 session: from the last checkpoint"),
    ]


def test_what_is_said_of_a_play_before_and_meanwhile_goes_with_what_its_panel_counts() -> None:
    assert begins(200, 878, 330.0) == (
        "200 customers ask 878 questions in 330 s; what a person answers, to whom one was handed over, "
        "is a turn too"
    )
    assert SHOWS.format(online=200, running=2, turns=907, wrong=0) == (
        "200 customers online, 2 turns under way, 907 ended, 0 of them wrong"
    )


def test_a_replica_that_hands_its_sessions_over_says_how_many() -> None:
    found = told([line("runs.released", 1.0, runs=["a", "b"]), line("runs.released", 2.0, runs=["c"])])

    assert found == [Happening(1.0, "handed 3 sessions of a replica that ends to the others")]


def test_what_a_killed_replica_did_not_write_whole_is_left_out() -> None:
    at = "2026-11-29T01:20:00Z"

    found = logged(
        "a", [f'{{"event": "run.resumed", "timestamp": "{at}"}}', "Traceback", '{"event": "run.re']
    )

    assert [(each.event, each.at) for each in found] == [
        ("run.resumed", datetime(2026, 11, 29, 1, 20, tzinfo=UTC).timestamp())
    ]
    assert records(["", "x", "[1]"]) == []


def test_a_replica_that_was_killed_is_told_also_after_midnight() -> None:
    began = datetime(2026, 11, 29, 23, 59, 50).timestamp()
    said = [
        "23:59:55 Scaling: 2 wanted: whatever",
        "23:59:58 desk-1 was killed by SIGKILL; replaced now",
        "00:00:03 desk-2 ended with exit code 0; replaced in 0.5 s; its last words: bye",
    ]

    assert replaced(said, began) == [
        Happening(began + 8, "replaced a replica: desk-1 was killed by SIGKILL"),
        Happening(began + 13, "replaced a replica: desk-2 ended with exit code 0"),
    ]


def test_look_ups_are_read_from_a_page_of_metrics() -> None:
    page = (
        'lgs_cache_operations_total{namespace="desk/understand",result="hit"} 7.0\n'
        'lgs_cache_operations_total{namespace="desk/understand",result="miss"} 2.0\n'
        'lgs_cache_operations_total{namespace="desk/understand",result="set"} 2.0\n'
        'lgs_cache_operations_total{namespace="search",result="miss"} 1.0\n'
    )

    assert lookups_of(page) == {"desk/understand": (7, 2), "search": (0, 1)}


def test_the_manifest_is_the_examples_but_for_replicas_and_slots() -> None:
    text = (example.FOLDER / "service.yaml").read_text("utf-8")
    before = yaml.safe_load(text)

    name, after = manifest_of(text, Size(2, 4, 16))

    spec, given = yaml.safe_load(after)["spec"], before["spec"]
    assert name == before["metadata"]["name"]
    assert (spec["scaling"]["minReplicas"], spec["scaling"]["maxReplicas"]) == (2, 4)
    assert spec["workers"]["concurrency"] == 16
    assert {key: spec[key] for key in spec if key not in ("scaling", "workers")} == {
        key: given[key] for key in given if key not in ("scaling", "workers")
    }


def test_the_examples_questions_and_tokens_are_those_of_the_example() -> None:
    found = example.questions(example.FOLDER)

    assert {"complaint", "person", "delivery"} <= {each.intent for each in found}
    assert [each.common for each in found[:6]] == [True] * 5 + [False]
    body = orjson.dumps(example.body(example.said(found[0], "mark"), "mark"))
    assert orjson.loads(body)["input"]["messages"][0]["content"] == found[0].text


def test_a_question_in_words_of_its_own_begins_with_the_question() -> None:
    question = Question("I was charged twice", "payment")

    one, other = (
        example.said(question, str(uuid.uuid4()), fresh=True)["input"]["messages"][0]["content"]
        for _ in range(2)
    )

    assert one != other
    assert one.startswith("I was charged twice. ")
