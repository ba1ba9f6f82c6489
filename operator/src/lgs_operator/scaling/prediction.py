"""Predicts the least load to be ready for: that of the same quarter of an hour on the days before. Pure.

Two weeks are kept, one character for each quarter: its mean load in slots, on a logarithmic
scale. Days are in UTC.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil, log
from typing import Any

from lgs_operator.scaling.schedule import soon
from lgs_operator.scaling.values import value

QUARTER_SECONDS = 900.0
QUARTERS_A_DAY = 96
DAYS = 14
FEWEST_DAYS = 3
QUANTILE = 0.75
LIKENESS = 0.5
LOOK_BACK = 4
"""Quarters, an hour, to compare: with less than `LIKENESS` of the predicted load, the day is
unlike the others."""
LEAST_SEEN = 300.0
MOST_SLOT_SECONDS = 1e30
"""More slot-seconds than any measurable load gives in a quarter of an hour."""
SCALE = 1.2
UNKNOWN = "-"
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@value(frozen=True, slots=True)
class Days:
    """The load by quarters. `levels` has a character for each quarter before `quarter`, the present one,
    counted from 1970; `seconds` and `slot_seconds` are the time observed in it and the load in that time."""

    quarter: int = 0
    levels: str = ""
    seconds: float = 0.0
    slot_seconds: float = 0.0


NO_DAYS = Days()


def seen(days: Days, now: float, elapsed: float, offered: float) -> Days:
    """`days` with one more round: a load of `offered` slots for `elapsed` seconds."""
    quarter = int(now // QUARTER_SECONDS)
    if quarter != days.quarter:
        days = _begun(days, quarter)
    return replace(days, seconds=days.seconds + elapsed, slot_seconds=days.slot_seconds + elapsed * offered)


def _begun(days: Days, quarter: int) -> Days:
    """The days at the start of another quarter. Quarters that were not observed are unknown; if the clock was
    set back, or more than two weeks have passed, the days start afresh."""
    gap = quarter - days.quarter
    if gap < 0 or gap > DAYS * QUARTERS_A_DAY:
        return Days(quarter)
    mean = days.slot_seconds / days.seconds if days.seconds >= LEAST_SEEN else None
    levels = days.levels + (UNKNOWN if mean is None else _digit(mean)) + UNKNOWN * (gap - 1)
    return Days(quarter, levels[-DAYS * QUARTERS_A_DAY :])


def predicted(days: Days, now: float, startup_seconds: float) -> float:
    """The slots to be ready for, at `now` and when a replica asked for now would be ready. 0: nothing is
    known, or the day is not like those before it."""
    quarter = int(now // QUARTER_SECONDS)
    if len(days.levels) < FEWEST_DAYS * QUARTERS_A_DAY or quarter != days.quarter or _is_another_day(days):
        return 0.0
    then = int(soon(now, startup_seconds) // QUARTER_SECONDS)
    return max(_foreseen(days, quarter), _foreseen(days, then))


def _foreseen(days: Days, quarter: int) -> float:
    """The `QUANTILE` of the load in the same quarter of the days before, in slots."""
    same = (quarter - day * QUARTERS_A_DAY for day in range(1, DAYS + 1))
    known = sorted(level for each in same if (level := _level(days, each)) is not None)
    return known[ceil(QUANTILE * len(known)) - 1] if len(known) >= FEWEST_DAYS else 0.0


def _is_another_day(days: Days) -> bool:
    last = [days.quarter - back for back in range(1, LOOK_BACK + 1)]
    pairs = [(level, _foreseen(days, each)) for each in last if (level := _level(days, each)) is not None]
    return sum(level for level, _ in pairs) < LIKENESS * sum(foreseen for _, foreseen in pairs)


def _level(days: Days, quarter: int) -> float | None:
    at = len(days.levels) - (days.quarter - quarter)
    if not 0 <= at < len(days.levels) or days.levels[at] == UNKNOWN:
        return None
    return float(SCALE ** DIGITS.index(days.levels[at])) - 1.0


def _digit(slots: float) -> str:
    return DIGITS[min(len(DIGITS) - 1, round(log(1.0 + max(0.0, slots)) / log(SCALE)))]


def stored_days(days: Days) -> list[Any] | None:
    """The days for a line of JSON; None if nothing was observed."""
    if days is NO_DAYS:
        return None
    return [days.quarter, days.levels, round(days.seconds, 1), round(days.slot_seconds, 1)]


def restored_days(line: list[Any] | None) -> Days:
    """The days that `stored_days` wrote. Raises `ValueError` for what it can't have written."""
    if line is None:
        return NO_DAYS
    quarter, levels, seconds, slot_seconds = line
    is_possible = 0 <= seconds < 1e6 and 0 <= slot_seconds < MOST_SLOT_SECONDS
    if not isinstance(levels, str) or set(levels) - {UNKNOWN, *DIGITS} or not is_possible:
        raise ValueError("no days of the law's")
    return Days(int(quarter), levels[-DAYS * QUARTERS_A_DAY :], float(seconds), float(slot_seconds))
