"""Explains in words and numbers why the scaling law decided as it did. Decides nothing."""

from __future__ import annotations

from math import ceil

from lgs_operator.scaling.decision import Code, Limit, Proposal, RoundInputs
from lgs_operator.scaling.demand import Demand
from lgs_operator.scaling.policy import Policy
from lgs_operator.scaling.samples import Observation


def what_is_unknown(given: RoundInputs) -> str | None:
    """What the round could not learn, in words; None if it learned everything."""
    if given.observation.failed:
        return f"{given.observation.failed} of the replicas gave no data{for_example(given.observation)}"
    if given.observation.silent:
        silent = f"{given.observation.silent} of the replicas that answer requests gave no data"
        return f"{silent}{for_example(given.observation)}"
    if not given.demand.queue_known:
        return "no replica can tell how many runs wait"
    return None


def for_example(observation: Observation) -> str:
    """A replica that gave no data, and why, in brackets; empty where that is not known."""
    one = observation.example
    if one is None:
        return ""
    return f" ({one.reason})" if one.replica in one.reason else f" ({one.replica}: {one.reason})"


def why_staffed(
    policy: Policy, demand: Demand, replicas: int, *, needed: float, recurs: float, spare: float
) -> str:
    """Why the load asks for so many replicas: it needs `needed` slots, bursts need `recurs`, and a load that
    may grow `spare`."""
    if replicas == 0 and not demand.waiting and round(demand.rate.per_second, 1) == 0:
        return "no new runs come and none waits"
    runs = (
        "of a length not known yet" if demand.run_seconds is None else f"of {in_seconds(demand.run_seconds)}"
    )
    room = _head_room(policy, demand, max(demand.offered, demand.unexplained), needed)
    return (
        f"{demand.rate.per_second:.1f} runs/s {runs} keep {demand.offered:.0f} slots in use"
        f"{f' and need {room}' if room else ''}"
        f"{f', {demand.unexplained:.0f} in use if they take longer' if demand.unexplained else ''}"
        f"{f', {demand.waiting} wait' if demand.waiting else ''}"
        f"{f', bursts need {recurs:.0f}' if recurs > max(demand.offered, spare) else ''}"
        f"{f', with room for {spare:.0f}, as it may still grow' if spare > max(needed, recurs) else ''}"
        f": {_of_slots(replicas, policy)}"
    )


def why_foreseen(policy: Policy, demand: Demand, replicas: int, foreseen: float, needed: float) -> str:
    """Why the prediction from the days before, `foreseen` slots in use, asks for so many replicas."""
    room = _head_room(policy, demand, foreseen, needed)
    return (
        f"at this time of day {foreseen:.0f} slots were in use before, now {demand.offered:.0f}"
        f"{f'; {foreseen:.0f} in use need {room}' if room else ''}: {_of_slots(replicas, policy)}"
    )


def _of_slots(replicas: int, policy: Policy) -> str:
    return f"{replicas} {'replica' if replicas == 1 else 'replicas'} of {policy.slots} slots"


def _head_room(policy: Policy, demand: Demand, load: float, needed: float) -> str:
    """How many slots a load needs beyond those that it keeps in use, and for which target; empty if that
    takes no more replicas."""
    slots = ceil(needed - 1e-9)
    if ceil(slots / policy.slots) <= ceil(round(load) / policy.slots):
        return ""
    if needed <= load / policy.utilization + 1e-9:
        return f"{slots}, so that {policy.utilization:.0%} of them are in use at most (utilization)"
    if demand.levels:
        return f"{slots}, so that hardly a run waits for too long (queueWaitSeconds by priority)"
    target = "p95LatencySeconds" if demand.wait_seconds < policy.queue_wait_seconds else "queueWaitSeconds"
    return f"{slots}, so that hardly a run waits more than {in_seconds(demand.wait_seconds)} ({target})"


def code_and_reason(
    given: RoundInputs,
    proposal: Proposal,
    replicas_within: tuple[int, int],
    hold: float,
    *,
    slow: str | None,
    is_blind: bool,
) -> tuple[Code, str]:
    """The code and the reason of a decision; `replicas_within` are the replicas decided, and those that the
    load and the queue ask for.
    """
    current = given.current
    replicas, within = replicas_within
    if replicas > current:
        return proposal.code or "ScaledOut", proposal.why
    if within < replicas and is_blind and (missing := what_is_unknown(given)) is not None:
        return "NoData", f"{missing}: none is taken away"
    if replicas < current:
        return "ScaledIn", f"{proposal.why}, for {in_seconds(hold)} or longer"
    if slow is not None:
        return "RunsSlow", f"{slow}: more replicas would not help"
    if within < replicas:
        return "Holding", f"{proposal.why}; {replicas} stay until less has been enough for {in_seconds(hold)}"
    return "Steady", f"{proposal.why}{_why_more_stay(given, proposal, within)}"


def with_limit(
    given: RoundInputs,
    proposal: Proposal,
    limited: Limit | None,
    *,
    said: tuple[Code, str],
    downstream: str | None,
) -> tuple[Code, str]:
    """The code and reason in `said`, with the bound that keeps the load from what it asks for. `downstream`
    is what limits the replicas besides the policy, in words."""
    code, reason = said
    softer = code in ("ScaledOut", "Steady", "RunsSlow")
    if limited == "downstream" and downstream is not None:
        return "DownstreamSaturated", downstream
    if limited == "max":
        return code, f"{reason}; maxReplicas is {given.policy.max_replicas}"
    if limited == "min":
        return code, f"{reason}; minReplicas is {given.policy.min_replicas}"
    if limited == "schedule" and given.scheduled is not None:
        return "Scheduled" if softer else code, f"{reason}; {given.scheduled.why}"
    return "Predicted" if softer and proposal.is_predicted else code, reason


def _why_more_stay(given: RoundInputs, proposal: Proposal, replicas: int) -> str:
    if max(proposal.replicas, given.policy.min_replicas) >= replicas:
        return ""
    return f"; {replicas} stay: {_why_none_goes(given, replicas)}"


def _why_none_goes(given: RoundInputs, replicas: int) -> str:
    if given.demand.urgent:
        return "runs wait for a slot"
    if given.observation.failed:
        return "those that gave no data may be full"
    if given.demand.in_use > (replicas - 1) * given.policy.slots:
        return f"{given.demand.in_use} slots are in use"
    return "fewer would not do if the load grew by a tenth"


def numbers_behind(given: RoundInputs, proposal: Proposal, hold: float) -> dict[str, float]:
    """The numbers in `Decision.inputs`, which docs/scaling.md explains."""
    demand, observation = given.demand, given.observation
    return {
        "arrivalsPerSecond": round(demand.rate.per_second, 2),
        "runSeconds": round(demand.run_seconds or 0.0, 3),
        "offeredSlots": round(demand.offered, 2),
        "backlogSlots": round(demand.backlog, 2),
        "burstSlots": round(max(given.memory.recurring.slots, given.memory.recurring.latest), 2),
        "waiting": float(demand.waiting),
        "oldestSeconds": round(demand.oldest_seconds, 2),
        "slotsInUse": float(demand.in_use),
        "slots": float(demand.slots),
        "ready": float(observation.ready),
        "starting": float(observation.starting),
        "failedScrapes": float(observation.failed),
        "startupSeconds": round(given.memory.startup_seconds, 2),
        "holdSeconds": round(hold, 1),
        "wanted": float(proposal.replicas),
    }


def in_seconds(value: float | None) -> str:
    """`value` seconds as text, in s or ms; "unknown" for None."""
    if value is None:
        return "unknown"
    return f"{value:.0f} s" if value >= 10 else f"{value:.1f} s" if value >= 1 else f"{value * 1000:.0f} ms"
