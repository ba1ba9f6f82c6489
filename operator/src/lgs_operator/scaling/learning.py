"""What one round teaches: the memory before it, and the observation, give the memory after it.

Measures run time, start-up time, arrivals, waits and latencies. Pure; decides nothing.
"""

from __future__ import annotations

from dataclasses import replace
from math import exp

from lgs_operator.scaling.memory import CHUNK_SECONDS, MOST_CHUNKS, Chunk, Memory
from lgs_operator.scaling.samples import Change, Observation, merge

RUNS_TO_LEARN = 50.0
SECONDS_TO_LEARN = 30.0
LONGEST_STARTUP = 600.0


def learn(memory: Memory, observation: Observation) -> Memory:
    """`memory` with what `observation` adds to it."""
    change = merge(memory.baselines, observation, memory.at if memory.baselines else None, memory.complete)
    flow = memory.flow
    known = bool(memory.baselines)
    flow = flow.extended(observation.at, change.arrivals) if known else flow.resumed(observation.at)
    run_seconds, runs_learned = _run_seconds(memory, change, observation.at)
    starting_since, startup_seconds = _startups(memory, observation)
    return replace(
        memory,
        at=observation.at,
        complete=observation.failed == 0,
        flow=flow,
        run_seconds=run_seconds,
        runs_learned=runs_learned,
        startup_seconds=startup_seconds,
        starting_since=starting_since,
        ready=observation.ready,
        chunks=_chunks(memory.chunks, change, observation.at),
        baselines=change.baselines,
    )


def _run_seconds(memory: Memory, change: Change, now: float) -> tuple[float | None, float]:
    """Mean execution time over the last half minute or fifty runs, whichever are more; and how many runs
    it is of.
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


def _startups(memory: Memory, observation: Observation) -> tuple[tuple[float, ...], float]:
    """Since when each starting replica starts, and the start-up time with those that got ready now.

    The oldest is taken to be ready first. A start that was given up (fewer starting, no more ready) teaches
    nothing.
    """
    since = memory.starting_since
    estimate = memory.startup_seconds
    gone = max(0, len(since) - observation.starting)
    became_ready = min(gone, max(0, observation.ready - memory.ready))
    for started in since[:became_ready]:
        took = min(LONGEST_STARTUP, max(0.0, observation.at - started))
        estimate += 0.5 * (took - estimate)
    since = since[gone:]
    return since + (observation.at,) * (observation.starting - len(since)), estimate


def _chunks(chunks: tuple[Chunk, ...], change: Change, now: float) -> tuple[Chunk, ...]:
    horizon = now - MOST_CHUNKS * CHUNK_SECONDS
    kept = [chunk for chunk in chunks if horizon < chunk.since <= now]
    if not kept or now - kept[-1].since >= CHUNK_SECONDS:
        kept.append(Chunk(since=now))
    last = kept[-1]
    kept[-1] = Chunk(last.since, last.wait.plus(change.wait), last.latency.plus(change.latency))
    return tuple(kept[-MOST_CHUNKS:])
