"""Learns from one round: the memory before it and its observation give the memory after it.

Measures run time, start-up time, arrivals, waits and latencies. Pure; decides nothing.
"""

from __future__ import annotations

from math import exp

from lgs_operator.scaling.memory import CHUNK_SECONDS, MOST_CHUNKS, RUNS_TO_KNOW, Chunk, Memory
from lgs_operator.scaling.priorities import NO_OWN_WAITS, Waits, remembered_arrivals, slow
from lgs_operator.scaling.samples import Arrivals, ByPriority, Change, Observation, merge
from lgs_operator.scaling.values import changed

RUNS_TO_LEARN = 50.0
SECONDS_TO_LEARN = 30.0
LONGEST_STARTUP = 600.0


def learn(memory: Memory, observation: Observation, waits: Waits = NO_OWN_WAITS) -> Memory:
    """`memory` with what `observation` adds to it. Runs of priorities that may wait long are kept apart."""
    change = merge(memory.baselines, observation, memory.at if memory.baselines else None, memory.complete)
    flow = memory.flow
    known = bool(memory.baselines)
    arrivals, rates_by = change.arrivals, memory.rates_by
    if waits != NO_OWN_WAITS and memory.at is not None:
        rates_by = remembered_arrivals(waits, rates_by, change.arrived_by, observation.at - memory.at)
        arrivals = _without_slow(arrivals, change.arrived_by, waits)
    flow = flow.extended(observation.at, arrivals) if known else flow.resumed(observation.at)
    run_seconds, runs_learned = _run_seconds(memory, change, observation.at)
    busy_seconds, runs_ended = _first_runs(memory, change, observation)
    if 0 < runs_ended < RUNS_TO_KNOW and run_seconds is not None:
        run_seconds = max(run_seconds, busy_seconds / (runs_ended + 1))
    startup_seconds = memory.startup_seconds
    if observation.startup_seconds is not None:
        startup_seconds = min(LONGEST_STARTUP, max(0.0, observation.startup_seconds))
    return changed(
        memory,
        at=observation.at,
        complete=observation.failed + observation.silent == 0,
        flow=flow,
        run_seconds=run_seconds,
        runs_learned=runs_learned,
        busy_seconds=busy_seconds,
        runs_ended=runs_ended,
        startup_seconds=startup_seconds,
        chunks=_chunks(memory.chunks, change, observation.at),
        rates_by=rates_by,
        ended=change.execution.count,
        arrived=sum(each.count for each in change.arrivals),
        baselines=change.baselines,
    )


def _without_slow(
    arrivals: tuple[Arrivals, ...], arrived_by: ByPriority, waits: Waits
) -> tuple[Arrivals, ...]:
    """The arrivals without those of priorities that may wait long, reduced by the same
    share at each replica."""
    apart = sum(count for count, is_slow in zip(arrived_by, slow(waits), strict=True) if is_slow)
    if not apart:
        return arrivals
    total = sum(each.count for each in arrivals)
    left = max(0.0, 1 - apart / total) if total > 0 else 0.0
    return tuple(changed(each, count=each.count * left) for each in arrivals)


def _run_seconds(memory: Memory, change: Change, now: float) -> tuple[float | None, float]:
    """The mean execution time over the last half minute or fifty runs, whichever covers more runs, and the
    number of runs in it.
    """
    elapsed = max(0.0, now - memory.at) if memory.at is not None else 0.0
    learned = memory.runs_learned
    learned = max(min(learned, RUNS_TO_LEARN), learned * exp(-elapsed / SECONDS_TO_LEARN))
    count = change.execution.count
    if count <= 0:
        return memory.run_seconds, learned
    mean = change.execution.total / count
    known = memory.run_seconds if memory.run_seconds is not None else mean
    return known + (mean - known) * count / (learned + count), learned + count


def _first_runs(memory: Memory, change: Change, observation: Observation) -> tuple[float, float]:
    """Slot-seconds in use and runs ended, from the first run on. Their quotient estimates the mean run time
    including runs still executed, since the first runs to end are the short ones.
    """
    if memory.runs_ended >= RUNS_TO_KNOW:
        return memory.busy_seconds, memory.runs_ended
    elapsed = max(0.0, observation.at - memory.at) if memory.at is not None else 0.0
    in_use = sum(sample.in_use for sample in observation.samples)
    return memory.busy_seconds + in_use * elapsed, memory.runs_ended + change.execution.count


def _chunks(chunks: tuple[Chunk, ...], change: Change, now: float) -> tuple[Chunk, ...]:
    horizon = now - MOST_CHUNKS * CHUNK_SECONDS
    kept = [chunk for chunk in chunks if horizon < chunk.since <= now]
    if not kept or now - kept[-1].since >= CHUNK_SECONDS:
        kept.append(Chunk(since=now))
    last = kept[-1]
    kept[-1] = Chunk(
        last.since,
        last.wait.plus(change.wait),
        last.execution.plus(change.execution),
        last.latency.plus(change.latency),
    )
    return tuple(kept[-MOST_CHUNKS:])
