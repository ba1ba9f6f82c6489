"""How much work the service is offered, in slots: arrivals times run time, the backlog, and bursts that come
back.

Pure. The arrival rate comes from the longest window that the shorter ones don't contradict (intersection of
confidence intervals, Goldenshluger and Nemirovski 1997), so that a spike is seen at the second sample and the
noise of a steady load is not. The demand is Little's law: what arrives in one run time is what is in the
service at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, inf, sqrt
from statistics import median_high

from lgs_operator.scaling.flow import Flow
from lgs_operator.scaling.memory import MOST_PEAKS, Memory
from lgs_operator.scaling.policy import Policy
from lgs_operator.scaling.samples import NOTHING, Histogram, Observation

WINDOWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
STEADY_SECONDS = 30.0
NOISE = 2.0
"""Standard deviations within which a change is noise."""
LOOK_BACK_HOLDS = 10.0
"""Bursts are remembered for ten holds: ten minutes with the default of 60 s."""
SURE = 0.98
"""How sure one wants to be that a burst that comes back finds room."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Runs a second, and for how many seconds (at least) it has been so."""

    per_second: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Demand:
    """The load at one moment; `offered`, `backlog` and `floor` in slots."""

    rate: Rate
    run_seconds: float | None
    offered: float
    """What arrivals keep in use, seen one start-up ahead."""
    offered_now: float
    """The same without looking ahead: the runs that came in one run time. A batch that came at once is no
    rate that goes on, so this is what is remembered of a burst."""
    backlog: float
    """What the runs that wait need on top, so that they are gone in time."""
    floor: float
    """What bursts that came back needed."""
    episodes: int
    """How many bursts the look-back has seen."""
    waiting: int
    oldest_seconds: float
    queue_known: bool
    """Whether any replica could tell how many runs wait; else `waiting` is 0."""
    in_use: int
    slots: int
    loop_lag: float
    p95: float | None
    p95_wait: float | None

    @property
    def saturated(self) -> bool:
        """Runs wait and the slots there are are taken."""
        return self.waiting > 0 and self.slots > 0 and self.in_use >= 0.9 * self.slots


def rate_of(flow: Flow) -> Rate:
    """The arrival rate now. While it is young it is the least that the noise allows, so a spike does not
    overshoot.
    """
    low, high, seconds, mean = 0.0, inf, 0.0, 0.0
    reach = flow.seconds
    for window in (*(w for w in WINDOWS if w < reach), min(reach, 2 * WINDOWS[-1])):
        if window <= 0:
            continue
        count = flow.last(window)
        margin = NOISE * sqrt(count + 1.0)
        least, most = (count - margin) / window, (count + margin) / window
        if least > high or most < low:
            break
        low, high, seconds, mean = max(low, least), min(high, most), window, count / window
    steady = min(max(mean, low), high)
    return Rate(per_second=steady if seconds >= STEADY_SECONDS else low, seconds=seconds)


def measure(policy: Policy, observation: Observation, memory: Memory) -> Demand:
    """The demand after `memory` has learned `observation`, which holds one sample at least."""
    working = [sample for sample in observation.samples if not sample.draining] or list(observation.samples)
    told = [sample.waiting for sample in working if sample.waiting is not None]
    waiting = median_high(told) if told else 0
    oldest = [sample.oldest_seconds for sample in working if sample.oldest_seconds is not None]
    in_use = sum(sample.in_use for sample in working)
    rate = rate_of(memory.flow)
    offered = _offered(rate, memory, in_use + waiting)
    wait, latency = _recent(memory)
    floor, episodes = recurring(memory.peaks, _look_ahead(memory))
    return Demand(
        rate=rate,
        run_seconds=memory.run_seconds,
        offered=offered,
        offered_now=min(offered, _offered_now(memory, offered)),
        backlog=_backlog(policy, memory, waiting, observation.starting),
        floor=floor,
        episodes=episodes,
        waiting=waiting,
        oldest_seconds=median_high(oldest) if oldest else 0.0,
        queue_known=bool(told),
        in_use=in_use,
        slots=sum(sample.slots for sample in working),
        loop_lag=max(sample.loop_lag for sample in working),
        p95=latency.quantile(0.95),
        p95_wait=wait.quantile(0.95),
    )


def remembered(
    policy: Policy, peaks: tuple[tuple[float, float], ...], now: float, offered_now: float
) -> tuple[tuple[float, float], ...]:
    """`peaks` with the demand of now: the largest of each sixtieth of the look-back. The clock may have been
    set back since."""
    look_back = max(policy.hold_seconds, 1.0) * LOOK_BACK_HOLDS
    kept = [(min(at, now), demand) for at, demand in peaks if now - at <= look_back]
    if kept and now - kept[-1][0] < look_back / MOST_PEAKS:
        kept[-1] = (kept[-1][0], max(kept[-1][1], offered_now))
    else:
        kept.append((now, offered_now))
    return tuple(kept[-MOST_PEAKS:])


def recurring(peaks: tuple[tuple[float, float], ...], look_ahead: float) -> tuple[float, int]:
    """The demand to stay ready for, and the number of bursts. One burst is no habit: it leaves no floor.

    Of the maxima over one look-ahead each, the quantile that is `SURE`, but no more than the second largest
    burst.
    """
    bursts = _bursts([demand for _, demand in peaks])
    if len(bursts) < 2:
        return 0.0, len(bursts)
    blocks: dict[int, float] = {}
    for at, demand in peaks:
        block = int(at // max(look_ahead, 1.0))
        blocks[block] = max(blocks.get(block, 0.0), demand)
    maxima = sorted(blocks.values())
    quantile = maxima[ceil(SURE * len(maxima)) - 1]
    return min(quantile, sorted(bursts)[-2]), len(bursts)


def _bursts(demands: list[float]) -> list[float]:
    """The height of each time the demand rose above 0.7 of its largest after it was below 0.4 of it."""
    largest = max(demands, default=0.0)
    if largest < 1.0:
        return []
    bursts: list[float] = []
    low = inside = False
    for demand in demands:
        if demand <= 0.4 * largest:
            low, inside = True, False
        elif demand >= 0.7 * largest and low:
            bursts.append(demand)
            low, inside = False, True
        elif inside:
            bursts[-1] = max(bursts[-1], demand)
    return bursts


def _offered(rate: Rate, memory: Memory, present: int) -> float:
    """Slots that arrivals will keep in use one start-up from now, if the rate stays.

    Runs longer than that are still in the service from before the present rate began, so their count is what
    it was. Until a first run has ended the run time is unknown, and what is there is all that is known.
    """
    if memory.run_seconds is None:
        return float(present)
    now_on = min(memory.run_seconds, rate.seconds + memory.startup_seconds)
    earlier = max(0.0, memory.run_seconds - memory.startup_seconds)
    before = memory.flow.last(earlier) - memory.flow.last(rate.seconds) if earlier > rate.seconds else 0.0
    return rate.per_second * now_on + max(0.0, before)


def _offered_now(memory: Memory, offered: float) -> float:
    """Arrivals of the last run time; `offered` while that is further back than anything known."""
    if memory.run_seconds is None or memory.flow.seconds < memory.run_seconds:
        return offered
    return memory.flow.last(memory.run_seconds)


def _backlog(policy: Policy, memory: Memory, waiting: int, starting: int) -> float:
    """`Q S / (T + eta)`: the waiting runs that no starting replica takes, over the time to be rid of them.

    T is the wait that is allowed, though no slot is free again in less than one run time.
    """
    if memory.run_seconds is None or waiting == 0:
        return 0.0
    run_seconds = max(memory.run_seconds, 1e-3)
    drain = max(policy.queue_wait_seconds, run_seconds)
    left = max(0.0, waiting - starting * policy.slots * drain / run_seconds)
    return left * run_seconds / (drain + memory.startup_seconds)


def _look_ahead(memory: Memory) -> float:
    return memory.startup_seconds + (memory.run_seconds or 0.0)


def _recent(memory: Memory) -> tuple[Histogram, Histogram]:
    wait = latency = NOTHING
    for chunk in memory.chunks:
        wait, latency = wait.plus(chunk.wait), latency.plus(chunk.latency)
    return wait, latency
