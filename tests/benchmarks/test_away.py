"""The load while Redis goes and comes: what is asked for, and how its parts are compared."""

from __future__ import annotations

from collections import Counter
from itertools import islice

from bench.away import MOST_TIMES, Seen, table, times, zipf


def test_the_first_thing_is_asked_for_twice_as_often_as_the_second() -> None:
    asked = Counter(islice(zipf(1000, seed=1), 20_000))

    assert 1.8 < asked[0] / asked[1] < 2.2
    assert max(asked) < 1000
    assert list(islice(zipf(1000, seed=1), 50)) == list(islice(zipf(1000, seed=1), 50))


def test_parts_are_compared_with_the_first_of_their_round() -> None:
    rounds = [
        [
            Seen("with Redis", [slow] * 20, hits=3, misses=1),
            Seen("without", [slow * times] * 20, Counter({"status 500": 2})),
        ]
        for slow, times in ((0.1, 1.1), (0.2, 1.0), (0.1, 1.3))
    ]

    assert table(rounds).splitlines()[2:] == [
        "| with Redis | 60 | 100.0 | 100.0 | 1.00 | 75 % | 0 |",
        "| without | 60 | 130.0 | 130.0 | 1.10 (1.00–1.30) |  | 6 |",
    ]
    assert times(rounds, 1).median <= MOST_TIMES
