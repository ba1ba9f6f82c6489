"""Turns what is asked for into the number of replicas: within the bounds of the policy, and after the hold
when it is fewer than before. Pure.

No replica goes while data is missing, while runs wait for a slot, or while long runs fill its slots. A shared
downstream service limits the replicas too, once adding some has brought no more completed runs.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from lgs_operator.scaling.decision import Decision, Limit, Proposal, RoundInputs
from lgs_operator.scaling.explanation import code_and_reason, numbers_behind, what_is_unknown, with_limit
from lgs_operator.scaling.memory import MOST_WANTED
from lgs_operator.scaling.patience import hold as held_for
from lgs_operator.scaling.policy import Policy
from lgs_operator.scaling.proposals import replicas_for
from lgs_operator.scaling.saturation import described, explained
from lgs_operator.scaling.values import changed

LONGEST_BLIND = 300.0
SCALE_IN_MARGIN = 1.1
"""A replica goes only if the load would have to grow by a tenth to need it again."""


def bounded(given: RoundInputs, proposal: Proposal, slow: str | None = None) -> Decision:
    """`proposal` within the bounds of the policy, and after the hold when it is less than before."""
    if proposal.is_idle:
        return _idle(given, proposal)
    demand, current = given.demand, given.current
    blind, blind_since = _blindness(given)
    policy, downstream = _capped(given, is_blind=blind)
    fewest = min(current, _fewest(given))
    # None goes while runs wait for a slot; those that are there for them alone are not held after that.
    kept = current if demand.urgent else fewest
    enough = within(policy, max(proposal.replicas, kept))
    for_load = within(policy, max(proposal.for_load, fewest)) if proposal.code is None else enough
    hold = held_for(policy)
    wanted = _held(given.memory.wanted, given.now, hold, for_load, current)
    brief = min(hold, given.memory.startup_seconds + (given.memory.run_seconds or 0.0))
    queue_wanted = _held(given.memory.queue_wanted, given.now, brief, enough, enough)
    replicas = within(policy, max(wanted[0][1], queue_wanted[0][1], current if blind else 0))
    limited = _limit(given, proposal, policy, downstream)
    said = code_and_reason(given, proposal, (replicas, enough), hold, slow=slow, is_blind=blind)
    code, reason = with_limit(given, proposal, limited, said=said, downstream=downstream)
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
        blind_seconds=None if blind_since is None else given.now - blind_since,
    )


def _limit(given: RoundInputs, proposal: Proposal, policy: Policy, downstream: str | None) -> Limit | None:
    """Which bound `proposal` is beyond; None: it is within them."""
    if proposal.replicas > policy.max_replicas:
        return "max" if downstream is None else "downstream"
    if proposal.replicas < policy.min_replicas:
        return "min" if given.scheduled is None else "schedule"
    return None


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
        inputs=numbers_behind(given, proposal, held_for(given.policy)),
        limited=None,
        memory=memory,
        p95=given.demand.p95,
        queue=given.demand.waiting if given.demand.queue_known else None,
    )


def _capped(given: RoundInputs, *, is_blind: bool) -> tuple[Policy, str | None]:
    """The policy, its maximum lowered to the replicas that still bring more runs, and why, in words."""
    policy, state = given.policy, given.memory.saturation
    if state.cap is None:
        return policy, None
    # Missing data is no reason to take a replica away.
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
    """The fewest replicas to go down to for the load: long runs keep theirs."""
    policy, demand = given.policy, given.demand
    return max(
        replicas_for(SCALE_IN_MARGIN * demand.offered, policy, demand),
        ceil(given.memory.recurring.slots / policy.slots),
        # Those that did not answer may be full.
        given.observation.failed + ceil(demand.in_use / policy.slots),
    )


def within(policy: Policy, replicas: int) -> int:
    """`replicas`, within the bounds of the policy."""
    return min(max(replicas, policy.min_replicas), policy.max_replicas)


def _held(
    earlier: tuple[tuple[float, int], ...], now: float, hold: float, within: int, current: int
) -> tuple[tuple[float, int], ...]:
    """The replicas wanted in the last `hold` seconds, strictly falling: the first entry is the largest, the
    last is that of now.

    Without a past, `current` counts as wanted now, so that a new law takes nothing away at once. An entry
    later than now (the clock was set back) counts as wanted now: it is held for one hold, and no longer.
    """
    start = earlier or ((now, current),)
    kept = [(min(at, now), replicas) for at, replicas in start if now - at <= hold and replicas > within]
    kept.append((now, within))
    while len(kept) > MOST_WANTED:
        closest = min(range(len(kept) - 1), key=lambda index: kept[index][1] - kept[index + 1][1])
        kept[closest] = (kept[closest + 1][0], kept[closest][1])
        del kept[closest + 1]
    return tuple(kept)
