"""Whether more replicas complete more runs. What all of them share downstream (a model's rate limit, a
database) may be full, and then each further replica only makes all runs slower.

Saturation is suspected if slots were added, all of them are full, and hardly more runs end. A trial with
fewer replicas for a while decides. If as many runs end, there were too many replicas, and the trial goes on
from there; if not, they come back at once. While the limit holds, more replicas are tried now and then. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import ceil, log
from typing import Any, Literal, get_args

from lgs_operator.scaling.throughput import (
    MOST_LEVELS,
    SAME,
    Level,
    Levels,
    Seen,
    counted,
    flat_before,
    gain,
    is_old,
)
from lgs_operator.scaling.values import value

Phase = Literal["watching", "fewer", "limited", "more"]
SUSPECT_RATIO = 4 / 3
SUSPECT_SHARE = 0.35
"""Share of the growth to expect of the added slots, below which saturation is suspected."""
TRIED_SHARE = 0.5
FEWER, MORE, MORE_AGAIN = 0.5, 1.5, 2.0
BETTER = 1.25
PAUSE_SECONDS, LONGEST_PAUSE = 300.0, 3600.0
TRIAL_SECONDS, LONGEST_TRIAL, TRIAL_RUNS = 120.0, 600.0, 3.0
"""A trial fails if it has shown nothing after `TRIAL_SECONDS` plus `TRIAL_RUNS` mean run times at its level,
and in any case after `LONGEST_TRIAL` seconds."""
REST_SECONDS = 60.0
"""Seconds with free slots after which earlier measurements no longer apply."""


@value(frozen=True, slots=True)
class Saturation:
    """What was measured and what is being tried. `cap` is the most replicas meanwhile, `before` the cap
    before it, and `reference` the level that a trial is compared with."""

    phase: Phase = "watching"
    levels: Levels = ()
    full_at: float = 0.0
    since: float = 0.0
    """When the phase began."""
    next_at: float = 0.0
    """The time before which nothing is tried."""
    pause: float = PAUSE_SECONDS
    cap: int | None = None
    before: int | None = None
    reference: Level | None = None
    shown: str | None = None
    """What trials have shown, in numbers; None: nothing yet."""


NOT_SATURATED = Saturation()


def watched(state: Saturation, seen: Seen, *, wants: int, fewest: int) -> Saturation:
    """The state after a round. The load asks for `wants` replicas; at least `fewest` must stay."""
    state = _measured(state, seen)
    if state.phase == "watching":
        return _suspected(state, seen, fewest)
    if seen.now - state.full_at > REST_SECONDS:
        return NOT_SATURATED
    if state.phase == "limited":
        return _limited(state, seen, wants)
    return _fewer_tried(state, seen, fewest) if state.phase == "fewer" else _more_tried(state, seen, wants)


def _measured(state: Saturation, seen: Seen) -> Saturation:
    if seen.full:
        levels = counted(state.levels, seen) if seen.clean else state.levels
        # What replicas of another revision did says nothing about these.
        is_rollout = seen.draining and state.phase == "watching"
        return replace(state, levels=() if is_rollout else levels, full_at=seen.now)
    if not state.levels:
        return state
    if seen.now - state.full_at > REST_SECONDS:
        return replace(state, levels=())
    return replace(state, levels=(*state.levels[:-1], replace(state.levels[-1], since=seen.now)))


def _suspected(state: Saturation, seen: Seen, fewest: int) -> Saturation:
    if seen.now < state.next_at or not (seen.full and seen.clean):
        return state
    low = flat_before(state.levels, seen, ratio=SUSPECT_RATIO, share=SUSPECT_SHARE)
    if low is None:
        return state
    least = max(fewest, ceil(low.slots / seen.slots_each))
    return _trying_fewer(state, seen, least, cap=seen.replicas)


def _trying_fewer(state: Saturation, seen: Seen, least: int, *, cap: int) -> Saturation:
    """The state in a trial with half of `cap` replicas, at least `least`; unchanged if that
    is not much fewer."""
    fewer = max(least, ceil(FEWER * cap))
    if fewer * SUSPECT_RATIO > cap:
        return state
    return replace(
        state,
        phase="fewer",
        since=seen.now,
        cap=fewer,
        before=state.cap,
        reference=state.levels[-1],
        levels=(),
    )


def _fewer_tried(state: Saturation, seen: Seen, fewest: int) -> Saturation:
    result = _result(state, seen)
    if result == "open":
        return state
    if result == "more":
        shown = _words(state, seen)
        limited = replace(state, phase="limited", since=seen.now, next_at=seen.now + state.pause, shown=shown)
        return _trying_fewer(limited, seen, fewest, cap=state.cap or fewest)
    if state.before is None:
        pause = min(2 * state.pause, LONGEST_PAUSE)
        return Saturation(next_at=seen.now + state.pause, pause=pause, full_at=state.full_at)
    return replace(
        state, phase="limited", since=seen.now, cap=state.before, levels=(), next_at=seen.now + state.pause
    )


def _limited(state: Saturation, seen: Seen, wants: int) -> Saturation:
    cap, reference = state.cap or wants, state.reference
    is_due = wants > cap and seen.now >= state.next_at
    level = state.levels[-1] if state.levels else None
    if level is not None and not level.draining and is_old(level, seen) and level.known(seen.run_seconds):
        is_better = reference is not None and gain(reference, level)[0] > log(BETTER)
        is_due = is_due or (is_better and wants > cap)
        reference = level
        state = replace(state, reference=level, levels=(Level(level.slots, seen.now),))
    if not is_due or reference is None:
        return state
    more = max(cap + 1, ceil(MORE * cap))
    return replace(state, phase="more", since=seen.now, cap=more, before=cap, levels=())


def _more_tried(state: Saturation, seen: Seen, wants: int) -> Saturation:
    result = _result(state, seen)
    if result == "open":
        return state
    if result == "more":
        more = ceil(MORE_AGAIN * (state.cap or wants))
        if more >= wants:
            return replace(NOT_SATURATED, full_at=state.full_at)
        level = state.levels[-1]
        return replace(state, since=seen.now, before=state.cap, cap=more, reference=level, levels=())
    pause = min(2 * state.pause, LONGEST_PAUSE)
    return replace(
        state,
        phase="limited",
        since=seen.now,
        cap=state.before,
        pause=pause,
        next_at=seen.now + pause,
        levels=(),
    )


def _result(state: Saturation, seen: Seen) -> Literal["open", "more", "less"]:
    """The result of a trial: "more" if its level has more than half of the growth in runs a second that the
    difference in slots should bring, "less" if not, "open" while that is not known. While replicas drain,
    only "less" is believed, since they end runs too."""
    level, reference = state.levels[-1] if state.levels else None, state.reference
    if seen.now - state.since > LONGEST_TRIAL:
        return "less"
    if level is None or reference is None or state.cap is None or not level.known(seen.run_seconds):
        return "open"
    if not _is_at(level, state.cap * seen.slots_each):
        return "open"
    least, most = gain(reference, level)
    middle = TRIED_SHARE * log(level.slots / reference.slots)
    if least > middle and not level.draining:
        return "more"
    took = seen.now - level.since - TRIAL_RUNS * seen.run_seconds
    return "less" if most < middle or took > TRIAL_SECONDS else "open"


def _is_at(level: Level, slots: float) -> bool:
    return abs(level.slots - slots) <= SAME * slots


def _words(state: Saturation, seen: Seen) -> str:
    reference, level = state.reference, state.levels[-1]
    assert reference is not None, "a trial has what it is compared with"
    each = seen.slots_each
    return (
        f"{reference.slots / each:.0f} replicas ended {reference.per_second:.1f} runs/s and "
        f"{level.slots / each:.0f} end {level.per_second:.1f}"
    )


def explained(state: Saturation) -> str:
    """Why there are no more than `cap` replicas, in words."""
    if state.shown is None:
        assert state.reference is not None, "a trial has what it is compared with"
        return (
            f"slots were added and hardly more runs ended, {state.reference.per_second:.1f}/s: "
            f"{state.cap} replicas are tried"
        )
    tried = f"; {state.cap} are tried" if state.phase in ("fewer", "more") else f"; {state.cap} at most"
    return f"{described(state)}{tried}"


def described(state: Saturation) -> str | None:
    """What trials have shown, in words; None: nothing yet."""
    if state.shown is None:
        return None
    return f"more replicas bring no more completed runs: {state.shown}; what they share is full"


def later(state: Saturation, seconds: float) -> Saturation:
    """The same state with its times `seconds` later."""
    return replace(
        state,
        levels=tuple(
            replace(each, since=each.since + seconds, until=each.until + seconds) for each in state.levels
        ),
        full_at=state.full_at + seconds,
        since=state.since + seconds,
        next_at=state.next_at + seconds,
    )


def stored(state: Saturation) -> dict[str, Any] | None:
    """The state for a line of JSON; None if there is nothing to remember."""
    if state.phase == "watching" and not state.levels and not state.next_at:
        return None
    return {
        "phase": state.phase,
        "levels": [_row(each) for each in state.levels],
        "times": [round(each, 1) for each in (state.full_at, state.since, state.next_at, state.pause)],
        "caps": [state.cap, state.before],
        "reference": None if state.reference is None else _row(state.reference),
        "shown": state.shown,
    }


def restored(line: Mapping[str, Any] | None, number: Callable[[Any], float]) -> Saturation:
    """The state that `stored` wrote. `number` must raise `ValueError` for what can't be a number, and so does
    this for an impossible state."""
    if line is None:
        return NOT_SATURATED
    full_at, since, next_at, pause = map(number, line["times"])
    cap, before = (None if each is None else int(number(each)) for each in line["caps"])
    levels = tuple(_level(each, number) for each in line["levels"][-MOST_LEVELS:])
    reference = None if line["reference"] is None else _level(line["reference"], number)
    phase, shown = line["phase"], line["shown"]
    if phase not in get_args(Phase) or (phase != "watching" and (cap is None or reference is None)):
        raise ValueError(f"{phase!r} with {cap} is no state of the law's")
    return Saturation(
        phase,
        levels,
        full_at,
        since,
        next_at,
        pause,
        cap,
        before,
        reference,
        None if shown is None else str(shown)[:200],
    )


def _row(level: Level) -> list[float]:
    counts = (level.since, level.seconds, level.ended, level.until, level.quick)
    return [level.slots, *(round(each, 2) for each in counts), int(level.draining)]


def _level(row: list[Any], number: Callable[[Any], float]) -> Level:
    slots, since, seconds, ended, until, quick, draining = map(number, row)
    return Level(max(1, int(slots)), since, seconds, ended, until, quick, draining > 0)
