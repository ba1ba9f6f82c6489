"""How much work the service is offered, in slots: arrivals times run time, and the backlog.

Pure. The arrival rate comes from the longest window that the shorter ones don't contradict (intersection of
confidence intervals, Goldenshluger and Nemirovski 1997), so that a spike is seen at the second sample and the
noise of a steady load is not. The demand follows Little's law: the number of runs in the service at a time is
the number that arrives in one run time.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import median_high

from lgs_operator.scaling.histogram import NOTHING, Histogram
from lgs_operator.scaling.memory import RUNS_TO_KNOW, Chunk, Memory
from lgs_operator.scaling.patience import burst_wait
from lgs_operator.scaling.policy import Policy
from lgs_operator.scaling.priorities import NO_OWN_WAITS, Priority, priorities, queue_seconds
from lgs_operator.scaling.rate import Rate, rate_of
from lgs_operator.scaling.samples import Observation, ReplicaSample
from lgs_operator.scaling.values import changed, value

SHORTEST_WAIT = 0.05
QUICK = 0.25
DOUBT = 4.0
"""Standard errors by which the mean run time may be above that of the first runs to end, which are the short
ones; the deviation of run times is about their mean."""
BURST_STEP = 1.5
"""The factor from one length of a burst to the next that is considered."""


@value(frozen=True, slots=True)
class Demand:
    """The load at one moment; `offered`, `offered_now` and `backlog` in slots."""

    rate: Rate
    run_seconds: float | None
    offered: float
    """The slots that arrivals will keep in use one start-up from now."""
    offered_now: float
    """The same without looking ahead: the runs that arrived in one run time. A batch that arrives at once is
    not a rate that continues, so this is the value that is remembered of a burst."""
    backlog: float
    """The slots that the waiting runs need on top, to be served in time."""
    waiting: int
    oldest_seconds: float
    queue_known: bool
    """Whether any replica reported how many runs wait; else `waiting` is 0."""
    in_use: int
    slots: int
    loop_lag: float
    wait_seconds: float
    """How long a run may wait: `queueWaitSeconds`, or what its run time leaves of `p95LatencySeconds`."""
    p95: float | None
    p95_wait: float | None
    """95th percentile of the waits in seconds, if there is a target for latencies."""
    quick: float | None = None
    """The lower quartile of the execution times of recently ended runs, in seconds."""
    unexplained: float = 0.0
    """Slots for the runs that are there, as far as they may be longer than the first that ended; 0 when the
    run time is known, or explains them."""
    levels: tuple[Priority, ...] = ()
    """The priorities, where their targets differ."""

    @property
    def urgent(self) -> bool:
        """Whether runs wait for a slot that should not have to."""
        return self.saturated and (not self.levels or any(each.urgent for each in self.levels))

    @property
    def late(self) -> bool:
        """Whether the oldest run waits for a slot, and longer than it may."""
        if not self.levels:
            return self.saturated and self.oldest_seconds > self.wait_seconds
        return self.saturated and any(each.late for each in self.levels)

    @property
    def saturated(self) -> bool:
        """Whether runs wait and nine tenths of the slots, or more, are taken."""
        return self.waiting > 0 and self.slots > 0 and self.in_use >= 0.9 * self.slots


def measure(policy: Policy, observation: Observation, memory: Memory) -> Demand:
    """The demand after `memory` has learned `observation`, which holds at least one sample."""
    working = [sample for sample in observation.samples if not sample.draining] or list(observation.samples)
    depths = [sample.waiting for sample in working if sample.waiting is not None]
    waiting = median_high(depths) if depths else 0
    oldest = [sample.oldest_seconds for sample in working if sample.oldest_seconds is not None]
    in_use = sum(sample.in_use for sample in working)
    slots = sum(sample.slots for sample in working)
    rate = rate_of(memory.flow)
    fast = offered = _offered(rate, memory, in_use + waiting)
    wait, execution, latency = _recent(policy, memory.chunks, waiting)
    wait_seconds = _allowed_wait(policy, execution.quantile(0.95))
    levels = _levels(policy, working, memory, fast, wait_seconds)
    if levels:
        offered = sum(each.offered for each in levels)
    demand = Demand(
        rate=rate,
        run_seconds=memory.run_seconds,
        offered=offered,
        offered_now=_offered_now(
            memory, fast, _seconds_of_ended(memory, execution), burst_wait(wait_seconds)
        ),
        backlog=0.0,
        waiting=waiting,
        oldest_seconds=median_high(oldest) if oldest else 0.0,
        queue_known=bool(depths),
        in_use=in_use,
        slots=slots,
        loop_lag=max(sample.loop_lag for sample in working),
        wait_seconds=wait_seconds,
        p95=latency.quantile(0.95),
        p95_wait=wait.quantile(0.95),
        levels=levels,
        unexplained=_unexplained(fast, memory, in_use + waiting),
        quick=execution.quantile(QUICK) if waiting else None,
    )
    if memory.run_seconds is None or waiting == 0:
        return demand
    ahead = memory.startup_seconds
    starting = sum(min(ahead, since) for since in observation.starting_for) * policy.slots
    return changed(demand, backlog=_backlog(memory.run_seconds, ahead, starting, demand))


def _levels(
    policy: Policy, working: Sequence[ReplicaSample], memory: Memory, fast: float, wait_seconds: float
) -> tuple[Priority, ...]:
    """The demand of each priority; empty if none has its own wait, or while the run time is unknown."""
    if policy.waits == NO_OWN_WAITS or memory.run_seconds is None:
        return ()
    return priorities(
        working,
        policy.waits,
        memory.rates_by,
        fast_offered=fast,
        run_seconds=memory.run_seconds,
        wait_seconds=wait_seconds,
    )


def _offered(rate: Rate, memory: Memory, present: int) -> float:
    """Slots that arrivals will keep in use one start-up from now, if the rate stays.

    Runs longer than that are still in the service from before the present rate began: they are counted as
    they arrived then. Until a first run has ended, the run time is unknown, and the runs present are the
    answer.
    """
    if memory.run_seconds is None:
        return float(present)
    now_on = min(memory.run_seconds, rate.seconds + memory.startup_seconds)
    earlier = max(0.0, memory.run_seconds - memory.startup_seconds)
    before = memory.flow.last(earlier) - memory.flow.last(rate.seconds) if earlier > rate.seconds else 0.0
    return rate.per_second * now_on + max(0.0, before)


def _unexplained(offered: float, memory: Memory, present: int) -> float:
    if memory.run_seconds is None or not 0 < memory.runs_ended < RUNS_TO_KNOW or present <= offered:
        return 0.0
    return min(present, offered * (1 + DOUBT / sqrt(memory.runs_ended)))


def _seconds_of_ended(memory: Memory, execution: Histogram) -> float | None:
    """The mean time of the runs that ended, without a guess at those that did not yet: what is remembered of
    a burst is no guess. Later the run time."""
    if memory.runs_ended >= RUNS_TO_KNOW or memory.run_seconds is None or not execution.count:
        return memory.run_seconds
    return min(memory.run_seconds, execution.total / execution.count)


def _offered_now(memory: Memory, offered: float, run_seconds: float | None, wait: float) -> float:
    """Arrivals of the last run time; `offered` while that is further back than anything known. If runs may
    wait for `wait` seconds, those of a burst share slots: `x` seconds of them are served in `x + wait`."""
    flow = memory.flow
    if not run_seconds or not memory.run_seconds:
        return offered
    most = offered * run_seconds / memory.run_seconds
    if flow.seconds < run_seconds:
        return most
    if not wait:
        return min(most, flow.last(run_seconds))
    needed, length = 0.0, run_seconds
    while length <= flow.seconds:
        needed = max(needed, flow.last(length) * run_seconds / (length + wait))
        length *= BURST_STEP
    return min(most, needed)


def _allowed_wait(policy: Policy, p95_execution: float | None) -> float:
    """Seconds that a run may wait. If runs by themselves take longer than the target latency, no
    shorter wait would help."""
    asked, target = policy.queue_wait_seconds, policy.p95_latency_seconds
    if target is None or p95_execution is None or p95_execution >= target:
        return asked
    return min(asked, max(SHORTEST_WAIT, target - p95_execution))


def _backlog(run_seconds: float, ahead: float, starting: float, demand: Demand) -> float:
    """Slots for the backlog, `Q' S / D`: the runs that will wait when a replica asked for now is ready, times
    the run time, over the time to clear them. Replicas that come once no run waits would come in vain.

    `starting` are the slot-seconds that starting replicas will have given until then. D is the allowed wait,
    but at least one run time, since no slot is free again sooner.
    """
    run_seconds = max(run_seconds, 1e-3)
    offered = max(demand.offered, demand.unexplained)
    left = demand.waiting + ((offered - demand.slots) * ahead - starting) / run_seconds
    within = queue_seconds(demand.levels, run_seconds)
    return max(0.0, left) * run_seconds / (within or max(demand.wait_seconds, run_seconds))


def _recent(
    policy: Policy, chunks: tuple[Chunk, ...], waiting: int
) -> tuple[Histogram, Histogram, Histogram]:
    """Waits, execution times and latencies of the last half minute; `NOTHING` for those no decision needs."""
    has_target = policy.p95_latency_seconds is not None
    return (
        Histogram.together([chunk.wait for chunk in chunks]) if has_target else NOTHING,
        Histogram.together([chunk.execution for chunk in chunks]) if has_target or waiting else NOTHING,
        Histogram.together([chunk.latency for chunk in chunks]),
    )
