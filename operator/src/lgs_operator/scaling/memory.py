"""What the law remembers between two decisions: small enough for a manifest's status, and complete enough
that a new operator goes on where the old one stopped.

`to_json` stays below 8 KiB whatever the load. The last sample of each replica is left out of it: a new
operator takes its first round as the start to count from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

from lgs_operator.scaling.flow import NO_FLOW, Flow
from lgs_operator.scaling.samples import NOTHING, Histogram, ReplicaSample

VERSION = 1
MOST_SPANS = 160
MOST_PEAKS = 60
MOST_WANTED = 48
MOST_STARTING = 64
MOST_BUCKETS = 32
MOST_CHUNKS = 6
MOST = 1e15
CHUNK_SECONDS = 5.0
DEFAULT_STARTUP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Chunk:
    """Waits and latencies of the runs that were claimed and that ended in a few seconds from `since` on."""

    since: float
    wait: Histogram = NOTHING
    latency: Histogram = NOTHING


@dataclass(frozen=True, slots=True)
class Memory:
    """Everything the next decision may need. Frozen; `Memory()` knows nothing."""

    at: float | None = None
    """Time of the last round with data."""
    replicas: int | None = None
    """The last decision."""
    complete: bool = False
    """The last round missed no replica."""
    flow: Flow = NO_FLOW
    run_seconds: float | None = None
    """Mean execution time of a run."""
    runs_learned: float = 0.0
    """How many recent runs that is the mean of."""
    startup_seconds: float = DEFAULT_STARTUP_SECONDS
    """What a replica takes from being asked for to being ready, measured."""
    starting_since: tuple[float, ...] = ()
    ready: int = 0
    peaks: tuple[tuple[float, float], ...] = ()
    """(time, largest demand in slots), one for each sixtieth of the look-back."""
    wanted: tuple[tuple[float, int], ...] = ()
    """(time, replicas) that were wanted within the hold, replicas strictly falling."""
    chunks: tuple[Chunk, ...] = ()
    tripped_at: float | None = None
    """When latency last asked for a replica more."""
    baselines: Mapping[str, ReplicaSample] = field(default_factory=dict, compare=False)

    def to_json(self) -> str:
        """One line of JSON, below 8 KiB: a status that people read should not be mostly this."""
        spans = self.flow.spans[-MOST_SPANS:]
        stored = {
            "v": VERSION,
            "at": _short(self.at),
            "n": self.replicas,
            "end": _short(self.flow.end),
            "flow": [part for length, count in spans for part in (_short(length), _short(count))],
            "run": _short(self.run_seconds),
            "runs": _short(self.runs_learned),
            "startup": _short(self.startup_seconds),
            "starting": [_short(at) for at in self.starting_since[-MOST_STARTING:]],
            "ready": self.ready,
            "peaks": [[_short(at), _short(demand)] for at, demand in self.peaks[-MOST_PEAKS:]],
            "wanted": [[_short(at), replicas] for at, replicas in self.wanted[:MOST_WANTED]],
            "tripped": _short(self.tripped_at),
            **_latencies(self.chunks),
        }
        return json.dumps(stored, separators=(",", ":"))

    @staticmethod
    def from_json(line: str | None) -> Memory:
        """The memory in `line`; an empty one when there is none, or when it is of another version or
        damaged.

        Losing the memory costs a hold and some seconds of measuring, so damage is no error. It stands in a
        status, which a person may have written.
        """
        try:
            stored = json.loads(line) if line else {}
            return _read(stored) if stored.get("v") == VERSION else Memory()
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError, OverflowError):
            return Memory()


def _read(stored: Mapping[str, Any]) -> Memory:
    flat = [_possible(number) for number in stored["flow"][-2 * MOST_SPANS :]]
    spans = zip(flat[::2], flat[1::2], strict=True)
    bounds = [_possible(bound) for bound in stored["bounds"][:MOST_BUCKETS]]
    return Memory(
        at=_number(stored["at"]),
        replicas=None if stored["n"] is None else int(_possible(stored["n"])),
        # what was rounded to no time at all is no part of a rate
        flow=Flow(
            end=_number(stored["end"]), spans=tuple((length, count) for length, count in spans if length)
        ),
        run_seconds=_number(stored["run"]),
        runs_learned=_possible(stored["runs"]),
        startup_seconds=_possible(stored["startup"]),
        starting_since=tuple(_possible(at) for at in stored["starting"][-MOST_STARTING:]),
        ready=int(_possible(stored["ready"])),
        peaks=tuple((_possible(at), _possible(demand)) for at, demand in stored["peaks"][-MOST_PEAKS:]),
        wanted=tuple((_possible(at), int(_possible(most))) for at, most in stored["wanted"][:MOST_WANTED]),
        chunks=tuple(
            Chunk(_possible(at), _histogram(bounds, wait), _histogram(bounds, latency))
            for at, wait, latency in stored["chunks"][-MOST_CHUNKS:]
        ),
        tripped_at=_number(stored["tripped"]),
    )


def _latencies(chunks: tuple[Chunk, ...]) -> dict[str, Any]:
    bounds: list[float] = next(
        (
            [bound for bound, _ in histogram.buckets if bound != inf]
            for chunk in reversed(chunks)
            for histogram in (chunk.latency, chunk.wait)
            if histogram.buckets
        ),
        [],
    )
    if len(bounds) > MOST_BUCKETS:
        return {"bounds": [], "chunks": []}
    rows = [
        [_short(chunk.since), _counts(chunk.wait, bounds), _counts(chunk.latency, bounds)]
        for chunk in chunks[-MOST_CHUNKS:]
    ]
    return {"bounds": bounds, "chunks": rows}


def _counts(histogram: Histogram, bounds: list[float]) -> list[int]:
    """Cumulative counts by `bounds` and in all; empty when the histogram has other bounds."""
    if [bound for bound, _ in histogram.buckets if bound != inf] != bounds:
        return []
    return [round(count) for _, count in histogram.buckets]


def _histogram(bounds: list[float], counts: list[int]) -> Histogram:
    if not counts:
        return Histogram()
    return Histogram(
        buckets=tuple(zip([*bounds, inf], map(_possible, counts), strict=True)), count=_possible(counts[-1])
    )


def _number(stored: Any) -> float | None:
    return None if stored is None else _possible(stored)


def _possible(stored: Any) -> float:
    """A number that the law can have written: none is negative or no number. Raises `ValueError`."""
    number = float(stored)
    if not 0 <= number <= MOST:
        raise ValueError(f"{number} is no number of the law's")
    return number


def _short(number: float | None) -> float | None:
    """Two digits are all that a decision needs, and keep the status small."""
    return None if number is None else round(number, 2)
