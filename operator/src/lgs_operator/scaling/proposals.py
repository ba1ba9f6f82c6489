"""What the load asks for now, before bounds and hold: staffing, backlog, prediction and latency. Pure."""

from __future__ import annotations

from math import ceil, floor

from lgs_operator.scaling.bursts import Recurring
from lgs_operator.scaling.decision import Proposal, RoundInputs
from lgs_operator.scaling.demand import Demand
from lgs_operator.scaling.explanation import in_seconds, why_foreseen, why_staffed
from lgs_operator.scaling.policy import Policy
from lgs_operator.scaling.priorities import slots_by_priority
from lgs_operator.scaling.staffing import slots_for

BACKLOG_WITHIN_SECONDS = 60.0
LOOP_LAG_SECONDS = 0.25
WAIT_SHARE = 0.25


def staffed(
    policy: Policy, demand: Demand, bursts: Recurring, foreseen: float, spare: float = 0.0
) -> Proposal:
    """The replicas by Little's law with head-room and backlog. They include slots for `bursts`, `spare` slots
    for a load that may grow, and what a predicted load of `foreseen` slots needs. What was once, or may be,
    is not held longer than it is remembered."""
    needed = _slots(demand.offered, policy, demand)
    base = max(_whole(needed, policy), ceil(bursts.slots / policy.slots))
    ready = max(base, ceil(max(bursts.latest, spare) / policy.slots))
    foresees = foreseen > demand.offered
    needs_then = _slots(foreseen, policy, demand) if foresees else 0.0
    ahead = min(_whole(needs_then, policy), policy.max_replicas)
    kept = demand.slots if demand.urgent else 0.0
    if demand.unexplained:
        needed = _slots(demand.unexplained, policy, demand)
    with_backlog = _whole(max(needed, kept) + demand.backlog, policy)
    replicas = max(ready, min(with_backlog, _ceiling(policy, demand)))
    if ahead > replicas:
        why = why_foreseen(policy, demand, ahead, foreseen, needs_then)
        return Proposal(ahead, why, for_load=ahead, is_predicted=True)
    recurs = max(bursts.slots, bursts.latest)
    why = why_staffed(policy, demand, replicas, needed=needed, recurs=recurs, spare=spare)
    return Proposal(replicas, why, for_load=max(base, ahead))


def replicas_for(load: float, policy: Policy, demand: Demand) -> int:
    return _whole(_slots(load, policy, demand), policy)


def _whole(slots: float, policy: Policy) -> int:
    return ceil(slots / policy.slots - 1e-9)


def _slots(load: float, policy: Policy, demand: Demand) -> float:
    if demand.levels:
        return slots_by_priority(demand.levels, load, demand.run_seconds, policy.utilization)
    return slots_for(load, demand.run_seconds, demand.wait_seconds, policy.utilization)


def _ceiling(policy: Policy, demand: Demand) -> int:
    """The most replicas that waiting runs may ask for: `overshoot` times what the load needs, or what clears
    them within a minute.
    """
    if demand.run_seconds is None:
        return policy.max_replicas
    lasting = demand.waiting * demand.run_seconds / max(BACKLOG_WITHIN_SECONDS, demand.run_seconds)
    # If three times the slots are in use that arrivals explain, present runs are longer than recent ones.
    need = demand.in_use if demand.in_use > 3 * demand.offered else max(demand.offered, demand.unexplained)
    return max(1, floor(policy.overshoot * need / policy.slots), ceil(lasting / policy.slots))


def tripped(given: RoundInputs, proposal: Proposal) -> Proposal | None:
    """What latency asks for when it is too long; None if it asks for nothing.

    Upward only, one step each start-up and run time, and only if more replicas would help: runs wait, or the
    processes themselves are overloaded.
    """
    policy, demand, memory = given.policy, given.demand, given.memory
    target = policy.p95_latency_seconds
    slow = target is not None and demand.p95 is not None and demand.p95 > target
    overloaded = demand.loop_lag > LOOP_LAG_SECONDS and demand.in_use > 0
    waits = demand.late
    waited = demand.p95 is not None and (demand.p95_wait or 0.0) >= WAIT_SHARE * demand.p95
    if slow and not (overloaded or waited or waits):
        return Proposal(
            0,
            f"runs are slow by themselves: p95 {in_seconds(demand.p95)}, hardly any of it waiting",
            "RunsSlow",
        )
    if not (waits or (slow and overloaded)):
        return None
    pause = memory.startup_seconds + (memory.run_seconds or 0.0)
    if given.observation.starting or (
        memory.tripped_at is not None and 0 <= given.now - memory.tripped_at < pause
    ):
        return None
    more = given.observation.ready + max(1, given.observation.ready // 10)
    if slow and overloaded:
        lag = in_seconds(demand.loop_lag)
        return Proposal(
            more, f"event loops lag {lag} behind and p95 is {in_seconds(demand.p95)}", "Saturated"
        )
    capped = min(more, max(proposal.replicas, _ceiling(policy, demand)))
    return Proposal(
        capped, f"the oldest of {demand.waiting} runs waits {in_seconds(demand.oldest_seconds)}", "Waiting"
    )
