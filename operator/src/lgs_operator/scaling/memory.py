"""What the scaling law remembers between two decisions: small enough for the status of a service, and
complete enough for a new operator to go on where the old one stopped.

`to_json` stays below 8 KiB whatever the load, below 10 KiB with the days of a prediction. It leaves out the
last sample of each replica: a new operator counts from its first round.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field, replace
from math import inf
from typing import Any

from lgs_operator.scaling.bursts import MOST_PEAKS, Recurring
from lgs_operator.scaling.flow import NO_FLOW, Flow
from lgs_operator.scaling.histogram import NOTHING, Histogram
from lgs_operator.scaling.prediction import NO_DAYS, Days, restored_days, stored_days
from lgs_operator.scaling.samples import NONE_BY_PRIORITY, ByPriority, ReplicaSample
from lgs_operator.scaling.saturation import NOT_SATURATED, Saturation, later, restored, stored
from lgs_operator.scaling.values import value

VERSION = 2
MOST_SPANS = 160
MOST_WANTED = 48
MOST_BUCKETS = 32
MOST_CHUNKS = 6
MOST = 1e15
CHUNK_SECONDS = 5.0
DEFAULT_STARTUP_SECONDS = 5.0
RUNS_TO_KNOW = 100.0
"""How many runs must have ended before those still executed are left out of the mean run time."""
NO_BURSTS = Recurring()


@value(frozen=True, slots=True)
class Chunk:
    """Waits of the runs claimed, and execution times and latencies of the runs ended, in
    `CHUNK_SECONDS` from `since` on."""

    since: float
    wait: Histogram = NOTHING
    execution: Histogram = NOTHING
    latency: Histogram = NOTHING


@value(frozen=True, slots=True)
class Memory:
    """Everything that the next decision may need. Frozen; `Memory()` knows nothing."""

    at: float | None = None
    """The time of the last round with data."""
    replicas: int | None = None
    """The replicas of the last decision."""
    complete: bool = False
    """Whether the last round missed no replica."""
    flow: Flow = NO_FLOW
    run_seconds: float | None = None
    """Mean execution time of a run, in seconds."""
    runs_learned: float = 0.0
    """How many recent runs that mean covers."""
    busy_seconds: float = 0.0
    """Slot-seconds in use until the first `RUNS_TO_KNOW` runs had ended; runs still executed count
    with their time so far.
    """
    runs_ended: float = 0.0
    """How many runs ended meanwhile."""
    startup_seconds: float = DEFAULT_STARTUP_SECONDS
    """Seconds from asking for a replica until it is ready, measured."""
    blind_since: float | None = None
    """Since when every round has missed something; None: the last one learned everything."""
    peaks: tuple[tuple[float, float], ...] = ()
    """(time, largest demand in slots) for each sixtieth of the look-back."""
    recurring: Recurring = NO_BURSTS
    """What the bursts among them ask for."""
    wanted: tuple[tuple[float, int], ...] = ()
    """(time, replicas) that the load wanted within the hold, replicas strictly falling."""
    queue_wanted: tuple[tuple[float, int], ...] = ()
    """The same including what the waiting runs need: clearing them ends, so it is held for a shorter time."""
    chunks: tuple[Chunk, ...] = ()
    saturation: Saturation = NOT_SATURATED
    """Whether more replicas complete more runs, by what was measured."""
    rates_by: ByPriority = NONE_BY_PRIORITY
    """Arrivals of each priority in runs a second, averaged over the time that its runs may wait."""
    days: Days = NO_DAYS
    """The load of the last two weeks, if the load is predicted."""
    worked_at: float | None = None
    """The time of the last work, which decides when the last replica may go."""
    ended: float = 0.0
    """Runs that ended since the round before; not used by the next."""
    arrived: float = 0.0
    """Runs that arrived since then, and requests that were refused; not used by the next."""
    tripped_at: float | None = None
    """When latency last asked for more replicas."""
    baselines: Mapping[str, ReplicaSample] = field(default_factory=dict, compare=False)

    def to_json(self) -> str:
        """One line of JSON, below 8 or 10 KiB, so that it is not most of a status that people read."""
        spans = self.flow.spans[-MOST_SPANS:]
        line = {
            "v": VERSION,
            "at": _short(self.at),
            "n": self.replicas,
            "end": _short(self.flow.end),
            "flow": [part for length, count in spans for part in (_short(length), _short(count))],
            "run": _short(self.run_seconds),
            "runs": _short(self.runs_learned),
            "busy": _short(self.busy_seconds),
            "ended": _short(self.runs_ended),
            "startup": _short(self.startup_seconds),
            "blind": _short(self.blind_since),
            "peaks": [[_short(at), _short(demand)] for at, demand in self.peaks[-MOST_PEAKS:]],
            "recurring": [
                _short(self.recurring.slots),
                self.recurring.bursts,
                _short(self.recurring.latest),
            ],
            "wanted": [[_short(at), replicas] for at, replicas in self.wanted[:MOST_WANTED]],
            "queued": [[_short(at), replicas] for at, replicas in self.queue_wanted[:MOST_WANTED]],
            "rates": [round(each, 4) for each in self.rates_by],
            "days": stored_days(self.days),
            "saturation": stored(self.saturation),
            "tripped": _short(self.tripped_at),
            "worked": _short(self.worked_at),
            **_latencies(self.chunks),
        }
        return json.dumps(line, separators=(",", ":"))

    def later(self, seconds: float) -> Memory:
        """The same memory with its times `seconds` later, so that a gap without rounds, or a jump of the
        clock, is no part of any hold.
        """
        return replace(
            self,
            blind_since=None if self.blind_since is None else self.blind_since + seconds,
            peaks=tuple((at + seconds, demand) for at, demand in self.peaks),
            wanted=tuple((at + seconds, replicas) for at, replicas in self.wanted),
            queue_wanted=tuple((at + seconds, replicas) for at, replicas in self.queue_wanted),
            saturation=later(self.saturation, seconds),
            tripped_at=None if self.tripped_at is None else self.tripped_at + seconds,
            worked_at=None if self.worked_at is None else self.worked_at + seconds,
        )

    @staticmethod
    def from_json(line: str | None) -> Memory:
        """The memory in `line`; an empty one if there is none, or if it is of another version or damaged.

        Losing the memory costs a hold and some seconds of measuring, so damage is no error: `line` comes from
        a status, which a person may have edited.
        """
        try:
            read = json.loads(line) if line else {}
            return _read(read) if read.get("v") == VERSION else Memory()
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError, OverflowError):
            return Memory()


def _read(line: Mapping[str, Any]) -> Memory:
    flat = [_possible(number) for number in line["flow"][-2 * MOST_SPANS :]]
    # A span rounded to no time at all is no part of a rate.
    spans = [span for span in zip(flat[::2], flat[1::2], strict=True) if span[0]]
    lengths, counts = tuple(zip(*spans, strict=True)) or ((), ())
    bounds = [_possible(bound) for bound in line["bounds"][:MOST_BUCKETS]]
    return Memory(
        at=_number(line["at"]),
        replicas=None if line["n"] is None else int(_possible(line["n"])),
        flow=Flow(_number(line["end"]), lengths, counts),
        run_seconds=_number(line["run"]),
        runs_learned=_possible(line["runs"]),
        busy_seconds=_possible(line["busy"]),
        runs_ended=_possible(line["ended"]),
        startup_seconds=_possible(line["startup"]),
        blind_since=_number(line["blind"]),
        peaks=tuple((_possible(at), _possible(demand)) for at, demand in line["peaks"][-MOST_PEAKS:]),
        recurring=_bursts(line["recurring"]),
        wanted=_steps(line["wanted"]),
        queue_wanted=_steps(line["queued"]),
        chunks=tuple(
            Chunk(_possible(at), *(_histogram(bounds, counts) for counts in (wait, execution, latency)))
            for at, wait, execution, latency in line["chunks"][-MOST_CHUNKS:]
        ),
        rates_by=_by_priority(line.get("rates")),
        days=restored_days(line.get("days")),
        saturation=restored(line.get("saturation"), _possible),
        tripped_at=_number(line["tripped"]),
        worked_at=_number(line.get("worked")),
    )


def _bursts(stored: list[float]) -> Recurring:
    """The bursts; an older operator stored no latest one."""
    slots, bursts, latest = map(_possible, (*stored, 0.0)[:3])
    return Recurring(slots, int(bursts), latest)


def _by_priority(stored: list[float] | None) -> ByPriority:
    high, normal, low = map(_possible, stored or NONE_BY_PRIORITY)
    return high, normal, low


def _steps(stored: list[list[float]]) -> tuple[tuple[float, int], ...]:
    return tuple((_possible(at), int(_possible(replicas))) for at, replicas in stored[:MOST_WANTED])


def _latencies(chunks: tuple[Chunk, ...]) -> dict[str, Any]:
    bounds: list[float] = next(
        (
            [bound for bound in histogram.bounds if bound != inf]
            for chunk in reversed(chunks)
            for histogram in (chunk.latency, chunk.execution, chunk.wait)
            if histogram.bounds
        ),
        [],
    )
    if len(bounds) > MOST_BUCKETS:
        return {"bounds": [], "chunks": []}
    rows = [
        [
            _short(chunk.since),
            *(_counts(each, bounds) for each in (chunk.wait, chunk.execution, chunk.latency)),
        ]
        for chunk in chunks[-MOST_CHUNKS:]
    ]
    return {"bounds": bounds, "chunks": rows}


def _counts(histogram: Histogram, bounds: list[float]) -> list[int]:
    """Cumulative counts by `bounds`, then the total; empty if the histogram has other bounds."""
    if [bound for bound in histogram.bounds if bound != inf] != bounds:
        return []
    return [round(count) for count in histogram.counts]


def _histogram(bounds: list[float], counts: list[int]) -> Histogram:
    if not counts:
        return Histogram()
    if len(counts) != len(bounds) + 1:
        raise ValueError(f"{len(counts)} counts for {len(bounds)} bounds")
    return Histogram((*bounds, inf), tuple(map(_possible, counts)), count=_possible(counts[-1]))


def _number(stored: Any) -> float | None:
    return None if stored is None else _possible(stored)


def _possible(stored: Any) -> float:
    """`stored` as a number. Raises `ValueError` if the law can't have written it, as for NaN or below 0."""
    number = float(stored)
    if not 0 <= number <= MOST:
        raise ValueError(f"{number} is no number of the law's")
    return number


def _short(number: float | None) -> float | None:
    """`number` with two decimals, which are enough for a decision and keep the status small."""
    return None if number is None else round(number, 2)
