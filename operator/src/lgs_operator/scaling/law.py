"""The scaling law: how many replicas the service should have, and why, in words and numbers.

`decide` is pure and is the same function in the cluster, in `lgs up` and in the tests. It promises: a spike
is answered at the second sample; at a steady load hardly a run waits longer than it may; what waits never
asks for more than `overshoot` times what the load needs, or what clears the queue within a minute, and those
replicas go when the queue is gone; replicas on their way count; no data changes nothing; fewer replicas only
after less has been enough for the whole hold; what the schedule asks for is ready at its time. `proposals`
has what is asked for, `staffing` the head-room, `demand` the load and the queue, `bursts` what comes back,
`schedule` and `prediction` what is known before.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from lgs_operator.scaling.bursts import look_back, recurring, remembered
from lgs_operator.scaling.decision import Code, Decision, Limit, Proposal, RoundInputs
from lgs_operator.scaling.demand import Demand, measure
from lgs_operator.scaling.explanation import code_and_reason, numbers_behind, what_is_unknown
from lgs_operator.scaling.idleness import UNREPORTED, in_doubt, is_idle, rested, work, worked_at
from lgs_operator.scaling.learning import learn
from lgs_operator.scaling.memory import MOST_WANTED, Memory
from lgs_operator.scaling.policy import Policy
from lgs_operator.scaling.prediction import NO_DAYS, predicted, seen
from lgs_operator.scaling.proposals import replicas_for, staffed, tripped
from lgs_operator.scaling.samples import Observation
from lgs_operator.scaling.saturation import NOT_SATURATED, Saturation, described, explained, watched
from lgs_operator.scaling.schedule import Scheduled, scheduled
from lgs_operator.scaling.throughput import Seen
from lgs_operator.scaling.values import changed

AFTER_A_BURST = 1.5
"""So many holds after a first burst, which may be the first of several."""
LONGEST_GAP = 30.0
LONGEST_BLIND = 300.0
SCALE_IN_MARGIN = 1.1
"""A replica goes only if the load would have to grow by a tenth to need it again."""


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
    proposal = staffed(policy, demand, learned.recurring.slots, foreseen)
    proposal = rested(policy, proposal, needs, idle=is_idle(policy, worked, now))
    given = RoundInputs(policy, observation, demand, learned, current, now, asked, worked)
    saturation = _downstream_learned(policy, memory, given, proposal)
    if saturation is not learned.saturation:
        learned = changed(learned, saturation=saturation)
        given = changed(given, memory=learned)
    more = tripped(given, proposal)
    if more is not None and more.replicas > proposal.replicas:
        return _bounded(changed(given, memory=changed(learned, tripped_at=now)), more)
    return _bounded(given, proposal, slow=more.why if more is not None and more.code == "RunsSlow" else None)


def _resumed(memory: Memory, now: float) -> Memory:
    """The memory after a time that nobody saw (no operator, a clock that was set): it counts for no hold."""
    gap = 0.0 if memory.at is None else now - memory.at
    return memory.later(gap) if not 0 <= gap <= LONGEST_GAP else memory


def _bursts_learned(policy: Policy, memory: Memory, now: float, demand: Demand) -> Memory:
    """The memory with the demand of now; what recurs is worked out with each new peak, not each second."""
    within = look_back(policy.hold_seconds)
    peaks = remembered(memory.peaks, now, demand.offered_now, within)
    if peaks is memory.peaks:
        return memory
    if len(peaks) == len(memory.peaks) and peaks[-1][0] == memory.peaks[-1][0]:
        return changed(memory, peaks=peaks)
    ahead = memory.startup_seconds + (memory.run_seconds or 0.0)
    return changed(memory, peaks=peaks, recurring=recurring(peaks, ahead, within))


def _downstream_learned(policy: Policy, before: Memory, given: RoundInputs, proposal: Proposal) -> Saturation:
    """What is known, after this round, of what all replicas share."""
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
    """The memory with the load of this round among the days, and what they foresee, in slots."""
    if not policy.predict or learned.at is None:
        return learned if learned.days is NO_DAYS else changed(learned, days=NO_DAYS), 0.0
    elapsed = 0.0 if before.at is None else min(LONGEST_GAP, max(0.0, learned.at - before.at))
    days = seen(learned.days, learned.at, elapsed, demand.offered)
    return changed(learned, days=days), predicted(days, learned.at, learned.startup_seconds)


def _bounded(given: RoundInputs, proposal: Proposal, slow: str | None = None) -> Decision:
    """`proposal` within the bounds of the policy, and after the hold when it is less than before."""
    if proposal.is_idle:
        return _idle(given, proposal)
    demand, current = given.demand, given.current
    blind, blind_since = _blindness(given)
    policy, downstream = _capped(given, is_blind=blind)
    fewest = min(current, _fewest(given))
    within = _within(policy, max(proposal.replicas, fewest))
    for_load = _within(policy, max(proposal.for_load, fewest)) if proposal.code is None else within
    hold = policy.hold_seconds * (AFTER_A_BURST if given.memory.recurring.bursts == 1 else 1)
    wanted = _held(given.memory.wanted, given.now, hold, for_load, current)
    brief = min(hold, given.memory.startup_seconds + (given.memory.run_seconds or 0.0))
    queue_wanted = _held(given.memory.queue_wanted, given.now, brief, within, within)
    replicas = _within(policy, max(wanted[0][1], queue_wanted[0][1], current if blind else 0))
    limited: Limit | None = None
    if downstream is not None and proposal.replicas > policy.max_replicas:
        limited = "downstream"
    elif proposal.replicas > policy.max_replicas:
        limited = "max"
    elif proposal.replicas < policy.min_replicas:
        limited = "min" if given.scheduled is None else "schedule"
    code, reason = code_and_reason(given, proposal, (replicas, within), hold, slow=slow, is_blind=blind)
    if downstream is not None and limited == "downstream":
        code, reason = "DownstreamSaturated", downstream
    elif limited == "max":
        reason += f"; maxReplicas is {policy.max_replicas}"
    elif limited == "min":
        reason += f"; minReplicas is {policy.min_replicas}"
    elif proposal.is_predicted and limited is None:
        code = "Predicted" if code in ("ScaledOut", "Steady", "RunsSlow") else code
    elif given.scheduled is not None and limited == "schedule":
        code = "Scheduled" if code in ("ScaledOut", "Steady", "RunsSlow") else code
        reason += f"; {given.scheduled.why}"
    return Decision(
        replicas=replicas,
        reason=reason,
        code=code,
        inputs=numbers_behind(given, proposal, hold),
        limited=limited,
        memory=changed(
            given.memory,
            wanted=wanted,
            queue_wanted=queue_wanted,
            blind_since=blind_since,
            worked_at=given.worked_at,
            replicas=replicas,
        ),
        p95=demand.p95,
        queue=demand.waiting if demand.queue_known else None,
        saturated=described(given.memory.saturation),
        scheduled=given.scheduled.why if given.scheduled is not None and limited == "schedule" else None,
    )


def _idle(given: RoundInputs, proposal: Proposal) -> Decision:
    """No replica: what was wanted before is held no longer."""
    nothing = ((given.now, 0),)
    _, blind_since = _blindness(given)
    memory = changed(
        given.memory,
        wanted=nothing,
        queue_wanted=nothing,
        blind_since=blind_since,
        worked_at=given.worked_at,
        replicas=0,
    )
    return Decision(
        replicas=0,
        reason=proposal.why,
        code="ScaledIn" if given.current else "Steady",
        inputs=numbers_behind(given, proposal, given.policy.hold_seconds),
        limited=None,
        memory=memory,
        p95=given.demand.p95,
        queue=given.demand.waiting if given.demand.queue_known else None,
    )


def _capped(given: RoundInputs, *, is_blind: bool) -> tuple[Policy, str | None]:
    """The policy with no more replicas than bring more, and what that is, in words."""
    policy, state = given.policy, given.memory.saturation
    if state.cap is None:
        return policy, None
    # What is not seen is no reason to take one away.
    cap = max(1, policy.min_replicas, state.cap, given.current if is_blind else 0)
    if cap >= policy.max_replicas:
        return policy, None
    return replace(policy, max_replicas=cap), explained(state)


def _blindness(given: RoundInputs) -> tuple[bool, float | None]:
    """Whether too little is known to take a replica away, and since when that is so.

    A replica that never answers, or a database that stays silent, does not keep all others for ever.
    """
    if what_is_unknown(given) is None:
        return False, None
    since = given.now if given.memory.blind_since is None else min(given.memory.blind_since, given.now)
    return given.now - since <= LONGEST_BLIND, since


def _fewest(given: RoundInputs) -> int:
    """The fewest replicas to go down to: none goes while runs wait for a slot, and long runs keep theirs."""
    policy, demand = given.policy, given.demand
    if demand.urgent:
        return given.current
    return max(
        replicas_for(SCALE_IN_MARGIN * demand.offered, policy, demand),
        ceil(given.memory.recurring.slots / policy.slots),
        # Those that did not answer may be full.
        given.observation.failed + ceil(demand.in_use / policy.slots),
    )


def _within(policy: Policy, replicas: int) -> int:
    return min(max(replicas, policy.min_replicas), policy.max_replicas)


def _held(
    earlier: tuple[tuple[float, int], ...], now: float, hold: float, within: int, current: int
) -> tuple[tuple[float, int], ...]:
    """What was wanted in the last `hold` seconds, strictly falling: the first is the largest, the last is
    now's.

    Without a past, `current` counts as wanted now, so that a new law takes nothing away at once. What was
    wanted later than now (the clock was set back) was wanted now: it is held for one hold, and no longer.
    """
    start = earlier or ((now, current),)
    kept = [(min(at, now), replicas) for at, replicas in start if now - at <= hold and replicas > within]
    kept.append((now, within))
    while len(kept) > MOST_WANTED:
        closest = min(range(len(kept) - 1), key=lambda index: kept[index][1] - kept[index + 1][1])
        kept[closest] = (kept[closest + 1][0], kept[closest][1])
        del kept[closest + 1]
    return tuple(kept)


def _doubted(memory: Memory, now: float) -> Decision:
    """Without a replica that reports the queue, one is started after a while: runs may wait unseen."""
    since = now if memory.blind_since is None else min(memory.blind_since, now)
    replicas = 1 if in_doubt(since, now) else 0
    code: Code = "ScaledOut" if replicas else "NoData"
    reason = f"{UNREPORTED}: one is started" if replicas else UNREPORTED
    return Decision(replicas, reason, code, {}, None, changed(memory, blind_since=since, replicas=replicas))


def _without_data(
    policy: Policy, observation: Observation | None, memory: Memory, asked: Scheduled | None, now: float
) -> Decision:
    """No data is not zero load: all stays as it is, but for what the schedule asks for."""
    present = 0 if observation is None else observation.ready + observation.starting
    current = memory.replicas if memory.replicas is not None else present
    replicas = _within(policy, current)
    if policy.min_replicas == 0 and replicas == 0:
        return _doubted(memory, now)
    inputs: dict[str, float] = {}
    if observation is None:
        reason = "no data: the replicas stay as they are"
    elif observation.ready == 0:
        reason = f"no replica is ready yet ({observation.starting} starting)"
    else:
        reason = f"none of {observation.ready} replicas gave data: they stay as they are"
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
    )
