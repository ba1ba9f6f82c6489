"""What is learned of who asks for what: in bounded memory, right where it matters, and turned back when it
does not help. No clock but the test's."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgs_runtime.cache.learning import MOST_UNCOUNTED, Learner
from lgs_runtime.cache.memory import MemoryCache
from lgs_runtime.cache.place import Place
from lgs_runtime.cache.popularity import HotKey, Popularity
from lgs_runtime.cache.preload import BURST, LATEST, Budget, margin
from lgs_runtime.cache.sketch import MOST, FrequencySketch
from lgs_runtime.cache.statistics import Statistics
from lgs_runtime.cache.tuning import HOLD, LOOKUPS, PATIENCE, SETTLING, STABLE, Tuner

KEYS = st.text("abcdefgh", min_size=1, max_size=3)


def asked(*keys: str) -> Counter[Place]:
    return Counter(Place("function", key) for key in keys)


@given(st.lists(KEYS, max_size=300))
def test_a_key_is_never_counted_too_low_before_the_counts_age(keys: list[str]) -> None:
    sketch = FrequencySketch(width=64)
    for key in keys:
        sketch.add(key)

    assert all(sketch.count(key) >= min(MOST, times) for key, times in Counter(keys).items())


def test_what_was_asked_for_long_ago_weighs_little() -> None:
    sketch = FrequencySketch(width=1024)
    sketch.add("once popular", 200)
    for number in range(5 * 10 * 1024):
        sketch.add(f"{number}")

    assert sketch.count("once popular") < 60


def test_a_count_ends_at_what_a_counter_holds() -> None:
    sketch = FrequencySketch(width=1024)

    assert (sketch.add("a", 1000), sketch.count("a"), sketch.count("b")) == (MOST, MOST, 0)


@given(st.lists(st.lists(KEYS, max_size=30), max_size=30))
def test_the_hot_keys_are_never_more_than_there_is_room_for(rounds: list[list[str]]) -> None:
    popularity = Popularity(most=8)
    for second, keys in enumerate(rounds):
        popularity.asked(asked(*keys), float(second))

        assert len(popularity.hot) <= 8


def test_keys_that_are_asked_for_once_or_twice_take_no_place_from_the_hot_ones() -> None:
    popularity = Popularity(most=8)
    hot = [f"hot {number}" for number in range(8)]
    for second in range(400):
        popularity.asked(asked(*hot, f"once {second}", f"twice {second // 2}"), float(second))

    assert set(popularity.hot) == set(hot)


def test_a_key_that_becomes_hot_takes_the_place_of_one_that_was() -> None:
    popularity = Popularity(most=8)
    for second in range(20):
        popularity.asked(asked(*(f"old {number}" for number in range(8))), float(second))
    for second in range(20, 120):
        popularity.asked(asked("new"), float(second))

    assert "new" in popularity.hot


def test_how_often_a_key_will_be_asked_for_is_told_by_its_intervals_and_cools_in_silence() -> None:
    hot = HotKey("key", "function", last=0.0)
    assert hot.uses(60.0, 1.0) <= 60.0
    for second in range(2, 100, 2):
        hot.asked(1, float(second))

    assert hot.uses(60.0, 98.0) == pytest.approx(30.0)
    assert hot.uses(60.0, 98.0 + 60.0) == pytest.approx(1.0)
    hot.elsewhere = 0.5
    assert hot.uses(60.0, 98.0) == pytest.approx(60.0)


def test_what_others_are_asked_for_counts_without_what_this_replica_is() -> None:
    popularity = Popularity()
    for second in range(0, 100, 2):
        popularity.asked(asked("shared", "silent"), float(second))
    popularity.hot["silent"].elsewhere = 5.0

    popularity.set_rates({"shared": 2.0, "unknown": 9.0}, 98.0)

    assert popularity.hot["shared"].uses(10.0, 98.0) == pytest.approx(20.0)
    assert popularity.hot["silent"].elsewhere == 0.0


@given(st.lists(st.integers(0, 100), max_size=100))
def test_what_is_computed_ahead_is_a_share_of_what_was_asked_for(turns: list[int]) -> None:
    budget, spent = Budget(share=0.1), 0
    for times in turns:
        budget.earn(times)
        while budget.spend():
            spent += 1

    assert spent <= BURST + 0.1 * sum(turns) + 1e-6


@given(KEYS, st.floats(0.001, 1e7), st.floats(0, 1e5))
def test_a_value_has_at_least_half_of_its_life(key: str, ttl: float, cost: float) -> None:
    early = margin(key, ttl, cost)

    assert 0.0 <= early <= LATEST * ttl


def test_values_that_were_stored_together_are_not_all_computed_anew_together() -> None:
    margins = {margin(f"key {number}", 600.0, 1.0) for number in range(50)}

    assert max(margins) - min(margins) > 10.0


@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 2000)), max_size=200), st.integers(0, 6))
def test_a_knob_stays_within_its_levels_whatever_the_hit_rate_does(
    windows: list[tuple[int, int]], highest: int
) -> None:
    tuner = Tuner(highest)
    for one, other in windows:
        before = tuner.level
        turn = tuner.step(min(one, other), max(one, other))

        assert 0 <= tuner.level <= highest
        assert (turn is None) == (tuner.level == before)
        assert turn is None or turn.level == tuner.level


@given(st.lists(st.integers(0, LOOKUPS - 1), max_size=50))
def test_of_few_lookups_nothing_is_concluded(hits: list[int]) -> None:
    tuner = Tuner(3)

    assert [tuner.step(number, LOOKUPS - 1) for number in hits] == [None] * len(hits)


def windows(tuner: Tuner, rate: float, number: int) -> list[int]:
    """The level after each of so many windows of one hit rate."""
    levels = []
    for _ in range(number):
        tuner.step(round(rate * 1000), 1000)
        levels.append(tuner.level)
    return levels


def test_a_hit_rate_that_falls_turns_the_knob_up_and_one_that_is_back_turns_it_back() -> None:
    tuner = Tuner(3)
    assert windows(tuner, 0.8, 20) == [0] * 20

    assert windows(tuner, 0.6, 2) == [1, 2]
    assert windows(tuner, 0.8, 2 * STABLE[0]) == [2] * (STABLE[0] - 1) + [1] * STABLE[0] + [0]


def test_a_knob_that_was_turned_back_too_soon_is_left_for_longer() -> None:
    tuner = Tuner(1)
    windows(tuner, 0.8, 20)
    waited = []
    for _ in range(3):
        windows(tuner, 0.6, 1)
        levels = windows(tuner, 0.8, 100)
        waited.append(levels.count(1))

    assert waited == sorted(waited)
    assert waited[0] < waited[-1]


def test_a_knob_that_does_not_help_is_turned_back_and_left_alone() -> None:
    tuner = Tuner(2)
    windows(tuner, 0.8, 20)

    levels = windows(tuner, 0.5, 2 + PATIENCE + HOLD)

    assert max(levels) == 2
    assert levels[-HOLD:] == [0] * HOLD


def test_a_cache_that_fills_has_not_fallen() -> None:
    tuner = Tuner(2)

    assert [windows(tuner, rate, 1) for rate in (0.9, 0.5, 0.2)[:SETTLING]] == [[0]] * SETTLING


@given(
    st.floats(1.0, 1e4),
    st.floats(1.0, 20.0),
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), max_size=60),
)
def test_a_value_never_lives_shorter_or_longer_than_its_author_says(
    ttl: float, times: float, looks: list[tuple[int, int]]
) -> None:
    now, statistics = [0.0], Statistics()
    learner = Learner(statistics, lambda: now[0])
    for hits, misses in looks:
        now[0] += 60.0
        counts = statistics.of("function")
        counts.hits, counts.misses = counts.hits + hits, counts.misses + misses
        learner.tune()

        assert ttl * 0.999 <= learner.ttl("function", ttl, ttl * times) <= ttl * times * 1.001


def test_a_fall_of_the_hit_rate_lengthens_lives_and_says_why() -> None:
    now, statistics = [0.0], Statistics()
    learner = Learner(statistics, lambda: now[0])
    learner.ttl("function", 60.0, 300.0)
    told = []
    for rate in [0.8] * 10 + [0.5] * 2:
        now[0] += 60.0
        counts = statistics.of("function")
        counts.hits, counts.misses = counts.hits + int(1000 * rate), counts.misses + int(1000 * (1 - rate))
        told += learner.tune()

    assert [each.ttl_factor for each in told] == [1.5, 2.25]
    assert told[0].why == "the hit rate fell to 0.50 from 0.80"
    assert learner.ttl("function", 60.0, 300.0) == 135.0
    assert learner.to_json()["ttl_factors"] == {"function": 2.25}


def test_a_storm_of_askings_between_two_looks_is_counted_in_part_and_kept_in_bounds() -> None:
    learner = Learner(Statistics(), lambda: 0.0)
    for _ in range(2):
        learner.asked(Place("function", "before anything is learned"))
    learner.begin()
    for number in range(3 * MOST_UNCOUNTED):
        learner.asked(Place("function", f"{number % 7}"))
    learner.count()

    assert set(learner.popularity.hot) == {f"{number}" for number in range(7)}


@given(st.lists(st.tuples(KEYS, st.integers(0, 60)), max_size=200), st.booleans())
def test_memory_holds_no_more_than_it_may_whoever_is_popular(
    puts: list[tuple[str, int]], counted: bool
) -> None:
    memory, sketch = MemoryCache(10, 100, lambda: 0.0), FrequencySketch(64)
    memory.popular = sketch.count if counted else None
    kept: dict[str, bytes] = {}
    for key, size in puts:
        sketch.add(key)
        memory.put(key, kept.setdefault(key, bytes(size)), 60.0)

        there = {each: entry.raw for each in kept if (entry := memory.get(each)) is not None}
        assert len(memory) == len(there) <= 10
        assert memory.bytes == sum(map(len, there.values())) <= 100
    memory.clear()
    assert (len(memory), memory.bytes) == (0, 0)


@pytest.mark.parametrize("counted", [True, False])
def test_a_scan_takes_the_place_of_popular_entries_only_where_nobody_counts(counted: bool) -> None:
    memory, sketch = MemoryCache(100, 10**6, lambda: 0.0), FrequencySketch()
    memory.popular = sketch.count if counted else None
    hot = [f"hot {number}" for number in range(70)]
    for key in hot * 3:
        sketch.add(key)
        memory.put(key, b"value", 60.0)
    for number in range(500):
        sketch.add(f"scan {number}")
        memory.put(f"scan {number}", b"value", 60.0)

    left = [key for key in hot if memory.get(key) is not None]
    assert left == (hot if counted else [])


def test_an_entry_whose_time_is_up_goes_before_one_that_is_new() -> None:
    now, sketch = [0.0], FrequencySketch()
    memory = MemoryCache(10, 10**6, lambda: now[0])
    memory.popular = sketch.count
    for number in range(10):
        sketch.add(f"old {number}", 100)
        memory.put(f"old {number}", b"value", 60.0)
    now[0] = 61.0
    for number in range(10):
        memory.put(f"new {number}", b"value", 60.0)

    assert sum(memory.get(f"new {number}") is not None for number in range(10)) >= 8


def test_the_hottest_keys_of_a_skewed_trace_are_known_whatever_the_size_of_the_rest() -> None:
    drawn, popularity = random.Random(1), Popularity(most=64)
    for second in range(300):
        keys = [f"{int(drawn.paretovariate(1.0))}" for _ in range(20)]
        popularity.asked(asked(*keys), float(second))

    assert {"1", "2", "3", "4"} <= set(popularity.hot)
