"""The load while Redis goes and comes: what is asked for, and how its parts are compared."""

from __future__ import annotations

from collections import Counter
from itertools import islice

from bench.away import Seen, table, zipf


def test_the_first_thing_is_asked_for_twice_as_often_as_the_second() -> None:
    asked = Counter(islice(zipf(1000, seed=1), 20_000))

    assert 1.8 < asked[0] / asked[1] < 2.2
    assert max(asked) < 1000
    assert list(islice(zipf(1000, seed=1), 50)) == list(islice(zipf(1000, seed=1), 50))


def test_parts_are_compared_with_the_first() -> None:
    parts = [
        Seen("with Redis", [0.1] * 20, hits=3, misses=1),
        Seen("without", [0.11] * 20, Counter({"status 500": 2})),
    ]

    assert table(parts).splitlines()[2:] == [
        "| with Redis | 20 | 100.0 | 100.0 | 1.00 | 75 % | 0 |",
        "| without | 20 | 110.0 | 110.0 | 1.10 |  | 2 |",
    ]
