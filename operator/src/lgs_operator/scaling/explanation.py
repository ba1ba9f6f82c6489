"""Why the scaling law decided as it did, in words and numbers. Decides nothing."""

from __future__ import annotations

from lgs_operator.scaling.decision import Code, Proposal, RoundInputs


def what_is_unknown(given: RoundInputs) -> str | None:
    """What the round could not learn, in words; None: it learned all."""
    if given.observation.failed:
        return f"{given.observation.failed} of the replicas gave no data"
    if given.observation.silent:
        return f"{given.observation.silent} of the replicas that answer requests gave no data"
    if not given.demand.queue_known:
        return "no replica can tell how many runs wait"
    return None


def code_and_reason(
    given: RoundInputs,
    proposal: Proposal,
    replicas_within: tuple[int, int],
    hold: float,
    *,
    slow: str | None,
    is_blind: bool,
) -> tuple[Code, str]:
    """The code of a decision and its reason; `replicas_within` are those decided and those that the load and
    the queue would have.
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
    return "Steady", proposal.why


def numbers_behind(given: RoundInputs, proposal: Proposal, hold: float) -> dict[str, float]:
    """`Decision.inputs`; docs/scaling.md says what each is."""
    demand, observation = given.demand, given.observation
    return {
        "arrivalsPerSecond": round(demand.rate.per_second, 2),
        "runSeconds": round(demand.run_seconds or 0.0, 3),
        "offeredSlots": round(demand.offered, 2),
        "backlogSlots": round(demand.backlog, 2),
        "burstSlots": round(given.memory.recurring.slots, 2),
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
    """A time in words, in the unit that fits it."""
    if value is None:
        return "unknown"
    return f"{value:.0f} s" if value >= 10 else f"{value:.1f} s" if value >= 1 else f"{value * 1000:.0f} ms"
