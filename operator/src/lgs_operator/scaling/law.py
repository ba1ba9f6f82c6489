"""The scaling law: how many replicas the service should have, and why, in words and numbers.

`decide` is pure and is the same function in the cluster, in `lgs up` and in the tests. It promises: a spike
is answered at the second sample; at a steady load hardly a run waits longer than it may; the queue never
asks for more than `overshoot` times what the load needs, or what clears the queue within a minute, and those
replicas go when the queue is gone; starting replicas count; without data nothing changes; replicas go only
after fewer have been enough for the whole hold; what the schedule asks for is ready at its time. `proposals`
decides what is asked for, `staffing` the head-room, `demand` measures the load and the queue, `bursts` what
recurs, `schedule` and `prediction` give what is known in advance, `bounds` decides what of it applies.
"""

from __future__ import annotations

from dataclasses import replace

from lgs_operator.scaling.bounds import bounded, within
from lgs_operator.scaling.bursts import is_steady, recurring, remembered, usual
from lgs_operator.scaling.decision import Code, Decision, Proposal, RoundInputs
from lgs_operator.scaling.demand import Demand, measure
from lgs_operator.scaling.explanation import for_example
from lgs_operator.scaling.idleness import UNREPORTED, in_doubt, is_idle, rested, work, worked_at
from lgs_operator.scaling.learning import learn
from lgs_operator.scaling.memory import Memory
from lgs_operator.scaling.patience import look_back, remembered_once, room
from lgs_operator.scaling.policy import Policy
from lgs_operator.scaling.prediction import NO_DAYS, predicted, seen
from lgs_operator.scaling.proposals import staffed, tripped
from lgs_operator.scaling.samples import Observation
from lgs_operator.scaling.saturation import NOT_SATURATED, Saturation, described, watched
from lgs_operator.scaling.schedule import Scheduled, scheduled
from lgs_operator.scaling.throughput import Seen
from lgs_operator.scaling.values import changed

LONGEST_GAP = 30.0


def decide(policy: Policy, observation: Observation | None, memory: Memory, now: float) -> Decision:
    """The decision at `now` (seconds since the epoch). Call it every second or two, and keep
    `Decision.memory`.
    """
    asked = scheduled(policy.schedule, now, memory.startup_seconds)
    if asked is not None and asked.replicas > policy.min_replicas:
        policy = replace(policy, min_replicas=min(asked.replicas, policy.max_replicas))
    else:
        asked = None
    if observation is None or not observation.samples:
        return _without_data(policy, observation, memory, asked, now)
    memory = _resumed(memory, now)
    current = memory.replicas if memory.replicas is not None else observation.ready + observation.starting
    learned = learn(memory, observation, policy.waits)
    demand = measure(policy, observation, learned)
    learned = _bursts_learned(policy, learned, now, demand)
    learned, foreseen = _foreseen(policy, memory, learned, demand)
    needs = work(observation, demand, learned, foreseen, current)
    worked = worked_at(memory.worked_at, needs, now, current)
    spare = _room(policy, learned, demand, now)
    proposal = staffed(policy, demand, learned.recurring, foreseen, spare)
    proposal = rested(policy, proposal, needs, idle=is_idle(policy, worked, now))
    given = RoundInputs(policy, observation, demand, learned, current, now, asked, worked)
    saturation = _downstream_learned(policy, memory, given, proposal)
    if saturation is not learned.saturation:
        learned = changed(learned, saturation=saturation)
        given = changed(given, memory=learned)
    more = tripped(given, proposal)
    if more is not None and more.replicas > proposal.replicas:
        return bounded(changed(given, memory=changed(learned, tripped_at=now)), more)
    return bounded(given, proposal, slow=more.why if more is not None and more.code == "RunsSlow" else None)


def _resumed(memory: Memory, now: float) -> Memory:
    """The memory after a gap without rounds (no operator, or a clock that was set): the
    gap extends no hold."""
    gap = 0.0 if memory.at is None else now - memory.at
    return memory.later(gap) if not 0 <= gap <= LONGEST_GAP else memory


def _bursts_learned(policy: Policy, memory: Memory, now: float, demand: Demand) -> Memory:
    """The memory with the demand of now; recurring bursts are computed at each new peak, not each second."""
    within = look_back(policy)
    peaks = remembered(memory.peaks, now, demand.offered_now, within)
    if peaks is memory.peaks:
        return memory
    if len(peaks) == len(memory.peaks) and peaks[-1][0] == memory.peaks[-1][0]:
        return changed(memory, peaks=peaks)
    ahead = memory.startup_seconds + (memory.run_seconds or 0.0)
    return changed(memory, peaks=peaks, recurring=recurring(peaks, ahead, within, remembered_once(policy)))


def _room(policy: Policy, memory: Memory, demand: Demand, now: float) -> float:
    """Slots for a load that may grow before replicas have started: none once it has been steady for long."""
    times, bursts = room(policy), memory.recurring.bursts
    if times <= 1 or is_steady(memory.peaks, bursts, now, look_back(policy)):
        return 0.0
    return times * usual(memory.peaks, bursts, demand.offered)


def _downstream_learned(policy: Policy, before: Memory, given: RoundInputs, proposal: Proposal) -> Saturation:
    """What is known after this round about saturation of what all replicas share."""
    demand, observation, learned = given.demand, given.observation, given.memory
    state = learned.saturation
    if state is NOT_SATURATED and not demand.saturated:
        return state
    elapsed = 0.0 if before.at is None else observation.at - before.at
    seen = Seen(
        now=observation.at,
        elapsed=elapsed,
        ended=learned.ended,
        replicas=observation.ready,
        slots=demand.slots,
        full=demand.saturated,
        clean=learned.complete and before.complete and elapsed > 0,
        draining=observation.draining > 0,
        run_seconds=demand.run_seconds or 0.0,
        quick=demand.quick or 0.0,
    )
    wants = min(proposal.replicas, policy.max_replicas)
    return watched(state, seen, wants=wants, fewest=max(1, policy.min_replicas))


def _foreseen(policy: Policy, before: Memory, learned: Memory, demand: Demand) -> tuple[Memory, float]:
    """The memory with the load of this round added to its days, and the load that they predict, in slots."""
    if not policy.predict or learned.at is None:
        return learned if learned.days is NO_DAYS else changed(learned, days=NO_DAYS), 0.0
    elapsed = 0.0 if before.at is None else min(LONGEST_GAP, max(0.0, learned.at - before.at))
    days = seen(learned.days, learned.at, elapsed, demand.offered)
    return changed(learned, days=days), predicted(days, learned.at, learned.startup_seconds)


def _doubted(memory: Memory, now: float) -> Decision:
    """The decision with no replica that reports the queue: one is started after a while, as runs may wait."""
    since = now if memory.blind_since is None else min(memory.blind_since, now)
    replicas = 1 if in_doubt(since, now) else 0
    code: Code = "ScaledOut" if replicas else "NoData"
    reason = f"{UNREPORTED}: one is started" if replicas else UNREPORTED
    kept = changed(memory, blind_since=since, replicas=replicas)
    return Decision(replicas, reason, code, {}, None, kept, blind_seconds=_without(memory, now))


def _without(memory: Memory, now: float) -> float | None:
    """Seconds since a round had data; None if none had, or the clock was set back since."""
    return None if memory.at is None or now < memory.at else now - memory.at


def _without_data(
    policy: Policy, observation: Observation | None, memory: Memory, asked: Scheduled | None, now: float
) -> Decision:
    """The decision without data, which is not zero load: all stays as it is, except for the schedule."""
    present = 0 if observation is None else observation.ready + observation.starting
    current = memory.replicas if memory.replicas is not None else present
    replicas = within(policy, current)
    if policy.min_replicas == 0 and replicas == 0:
        return _doubted(memory, now)
    inputs: dict[str, float] = {}
    if observation is None:
        reason = "no data: the replicas stay as they are"
    elif observation.ready == 0:
        reason = f"no replica is ready yet ({observation.starting} starting)"
    else:
        reason = (
            f"none of {observation.ready} replicas gave data{for_example(observation)}: they stay as they are"
        )
    if observation is not None:
        inputs = {
            "ready": float(observation.ready),
            "starting": float(observation.starting),
            "failedScrapes": float(observation.failed),
        }
    if asked is not None and replicas > current:
        reason += f"; {asked.why}"
    return Decision(
        replicas,
        reason,
        "NoData",
        inputs,
        None,
        changed(memory, replicas=replicas),
        saturated=described(memory.saturation),
        blind_seconds=_without(memory, now),
    )
