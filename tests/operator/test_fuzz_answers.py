"""Whatever a pod answers is at most that pod's failure: no number of it breaks or bends a decision."""

from __future__ import annotations

import json
from math import isfinite
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from lgs_operator.inspection import LONGEST_CHECK, MOST_CHECKS, checks_of
from lgs_operator.scaling import Decision, Memory, Observation, Policy, ReplicaSample, decide
from lgs_operator.scaling.exposition import MOST, NotOurMetrics, parse
from support.drawn_answers import JSON, READY, pages, right_pages
from support.drawn_manifests import examples

POLICIES = st.builds(
    Policy,
    min_replicas=st.integers(0, 5),
    max_replicas=st.integers(5, 1000),
    slots=st.sampled_from([1, 50, 10000]),
    p95_latency_seconds=st.none() | st.sampled_from([5e-324, 1.0, 86400.0]),
    queue_wait_seconds=st.sampled_from([5e-324, 1.0, 3600.0]),
    utilization=st.sampled_from([0.05, 0.75, 1.0]),
    hold_seconds=st.sampled_from([0.0, 5e-324, 60.0, 3600.0]),
)
SECONDS = st.sampled_from([0.0, 1e-9, 0.3, 1.5, 1.5, 1.5, 20.0, 700.0, -1.5, -86400.0, 1e8])


@examples(400)
@given(pages() | st.text(max_size=200))
def test_a_page_is_a_sample_of_numbers_that_a_replica_can_have_or_none(page: str) -> None:
    try:
        sample = parse(page, "pod-1", at=1.0)
    except NotOurMetrics as error:
        assert "pod-1" in str(error)
        assert len(str(error)) < 2000
        return

    assert all(isfinite(number) and 0 <= number <= MOST * 2000 for number in numbers(sample))


def numbers(sample: ReplicaSample) -> list[float]:
    histograms = (sample.wait, sample.execution, sample.latency)
    counts = [count for each in histograms for count in each.counts]
    sums = [number for each in histograms for number in (each.total, each.count)]
    told = (sample.waiting, sample.oldest_seconds, sample.blocked, sample.started_at, sample.loop_lag)
    counted = (sample.slots, sample.in_use, sample.arrived, sample.rejected, sample.finished)
    return [*counts, *sums, *counted, *(each for each in told if each is not None)]


ROUNDS = st.lists(
    st.tuples(SECONDS, st.lists(right_pages(), max_size=3), st.integers(0, 3), st.integers(0, 70)),
    min_size=1,
    max_size=6,
)


@examples(200)
@given(POLICIES, ROUNDS, st.integers(0, 5))
def test_whatever_replicas_say_and_clocks_do_the_number_of_replicas_keeps_its_bounds(
    policy: Policy, rounds: list[tuple[float, list[str], int, int]], handed_over: int
) -> None:
    memory, now = Memory(), 1_700_000_000.0
    for number, (seconds, told, failed, starting) in enumerate(rounds):
        now += seconds
        samples = tuple(parse(page, f"pod-{index}", now) for index, page in enumerate(told))
        ready = len(samples) + failed

        decision = decide(policy, Observation(now, samples, ready, starting, 0, failed), memory, now)

        assert_is_possible(decision, policy)
        memory = decision.memory
        if number == handed_over:
            memory = Memory.from_json(memory.to_json())


def assert_is_possible(decision: Decision, policy: Policy) -> None:
    assert policy.min_replicas <= decision.replicas <= policy.max_replicas
    json.dumps(decision.inputs, allow_nan=False)
    assert all(number >= 0 for number in decision.inputs.values()), decision.inputs
    assert decision.p95 is None or (isfinite(decision.p95) and decision.p95 >= 0)
    assert decision.queue is None or decision.queue >= 0
    kept = decision.memory.to_json()
    assert len(kept) < 8192
    json.loads(kept, parse_constant=refuse)


def refuse(constant: str) -> None:
    raise AssertionError(f"the memory holds {constant}")


FIELDS = (
    "at",
    "n",
    "end",
    "flow",
    "run",
    "runs",
    "startup",
    "starting",
    "ready",
    "peaks",
    "wanted",
    "tripped",
)
WRONG = JSON | st.sampled_from(
    [float("inf"), float("nan"), -1, 1e300, 0, [0, 0], [[0, 0]], [[1e300, 10**400]]]
)


@examples(200)
@given(
    POLICIES,
    st.dictionaries(st.sampled_from([*FIELDS, "bounds", "chunks"]), WRONG, max_size=4),
    right_pages(),
)
def test_a_memory_that_was_changed_by_hand_is_no_harm(
    policy: Policy, changed: dict[str, Any], page: str
) -> None:
    samples = (parse(page, "pod-1", 0.0),)
    first = decide(policy, Observation(0.0, samples, 1), Memory(), 0.0)
    stored = json.loads(first.memory.to_json()) | changed

    memory = Memory.from_json(json.dumps(stored))

    for now in (1.5, 3.0):
        decision = decide(policy, Observation(now, (parse(page, "pod-1", now),), 1), memory, now)
        assert_is_possible(decision, policy)
        memory = decision.memory


@examples(200)
@given(st.text(max_size=100) | JSON.map(json.dumps) | st.just("[" * 100_000) | st.just('{"v":' * 100_000))
def test_a_memory_that_is_none_is_none(line: str) -> None:
    assert Memory.from_json(line) == Memory()


@examples(300)
@given(READY)
@example({"checks": {"database": "\ud83d\n\x1b[2J"}})
def test_the_checks_of_a_replica_are_a_few_short_texts(answer: Any) -> None:
    checks = checks_of(answer)

    for text in (text for each in (checks or {}).items() for text in each):
        assert len(text) <= LONGEST_CHECK
        assert text.encode().decode().isprintable()
    assert len(checks or {}) <= MOST_CHECKS
