"""The plan of a play of the centre: phases, arrivals in the trace's rhythm, and who asks what."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from bench.centre.customers import COME, RARE, TURNS, Question, customers
from bench.centre.phases import SHARES, Phase, arrivals, phases, steady, turns_of, within
from bench.conversations import read_trace

TRACE = [at for at, _ in read_trace()]
QUESTIONS = [
    *(Question(f"question {number}", "delivery") for number in range(40)),
    *(Question(f"complaint {number}", "complaint") for number in range(5)),
    Question("a person, please", "person"),
]


def test_the_phases_fill_the_play_without_gaps() -> None:
    plan = phases(300.0)

    assert [phase.name for phase in plan] == list(SHARES)
    assert plan[0].begins == 0.0
    assert plan[-1].ends == pytest.approx(300.0)
    assert all(before.ends == after.begins for before, after in pairwise(plan))
    assert within(plan, plan[3].begins) == plan[3]
    assert within(plan, 1e9) == plan[-1]


def test_each_phase_is_asked_at_its_rate() -> None:
    plan = [Phase("steady", 0.0, 100.0, 1.0), Phase("spike", 100.0, 120.0, 4.0)]
    evenly = [float(number) for number in range(1000)]

    asked = arrivals(evenly, plan, turns_of(plan, 2.0))

    assert len(asked) == 360
    assert sum(at < 100.0 for at in asked) == pytest.approx(200, abs=1)
    assert sum(at >= 100.0 for at in asked) == pytest.approx(160, abs=1)


def test_the_time_between_two_turns_is_that_of_the_trace() -> None:
    asked = arrivals(TRACE, steady(60.0), 300)

    stretch = 60.0 / (TRACE[300] - TRACE[0])
    assert asked == pytest.approx([(at - TRACE[0]) * stretch for at in TRACE[:300]])


def test_a_trace_that_is_used_up_begins_again() -> None:
    asked = arrivals([0.0, 1.0, 4.0], steady(10.0), 7)

    assert asked == sorted(asked)
    assert len(asked) == 7
    assert asked[-1] < 10.0


def test_thousands_of_customers_come_no_faster_than_they_can_be_let_in() -> None:
    everybody = customers(TRACE, phases(330.0), QUESTIONS, count=5000, rate=2.0, seed=1)

    seconds = Counter(int(each.comes_at) for each in everybody)
    assert max(seconds.values()) < 2 * COME
    assert max(each.comes_at for each in everybody) > 90.0


def test_customers_come_before_they_ask_and_by_the_middle_of_the_first_phase() -> None:
    plan = phases(200.0)

    everybody = customers(TRACE, plan, QUESTIONS, count=100, rate=4.0, seed=1)

    assert len(everybody) == 100
    assert sum(len(each.asks) for each in everybody) == turns_of(plan, 4.0)
    for each in everybody:
        assert 0 <= each.comes_at <= plan[0].ends / 2
        assert [ask.at for ask in each.asks] == sorted(ask.at for ask in each.asks)
        assert all(ask.at >= each.comes_at for ask in each.asks)


def test_a_customer_has_one_session_after_the_other_of_some_turns_each() -> None:
    everybody = customers(TRACE, phases(600.0), QUESTIONS, count=20, rate=2.0, seed=1)

    assert len(everybody) == 20
    for each in everybody:
        turns = Counter(ask.session for ask in each.asks)
        assert sorted(turns) == list(range(len(turns)))
        assert all(turns[session] in TURNS for session in list(turns)[:-1])


def test_some_questions_are_common_and_a_tenth_are_complaints() -> None:
    everybody = customers(TRACE, phases(2000.0), QUESTIONS, count=200, rate=5.0, seed=1)
    asked = [ask.question for each in everybody for ask in each.asks]

    complaints = sum(each.intent == "complaint" for each in asked)
    common = Counter(each.text for each in asked if each.intent == "delivery").most_common(4)

    assert complaints / len(asked) == pytest.approx(RARE["complaint"], rel=0.15)
    assert sum(count for _, count in common) > 0.4 * len(asked)
    assert {each.priority for each in asked if each.intent == "complaint"} == {"high"}


def test_the_questions_that_are_asked_most_are_those_of_which_the_example_says_so() -> None:
    common = [Question(f"common {number}", "", common=True) for number in range(3)]
    everybody = customers(TRACE, phases(2000.0), [*QUESTIONS, *common], count=200, rate=5.0, seed=1)

    asked = Counter(ask.question.text for each in everybody for ask in each.asks)

    assert [text for text, _ in asked.most_common(2)] == ["common 0", "common 1"]


def test_a_play_of_the_centre_can_be_repeated() -> None:
    def drawn(seed: int) -> list[object]:
        return list(customers(TRACE, phases(60.0), QUESTIONS, count=10, rate=2.0, seed=seed))

    assert drawn(7) == drawn(7)
    assert drawn(7) != drawn(8)
