"""Whether a service whose `minReplicas` is 0 needs a replica that executes runs. Pure.

The last replica goes when there was no work for `idleSeconds`. One is started again as soon as a run waits,
and before a delayed run or a cron is due. The replicas that answer requests report all that; while they
can't, one replica stays, and if there is none, one is started after a while.
"""

from __future__ import annotations

from lgs_operator.scaling.decision import Proposal
from lgs_operator.scaling.demand import Demand
from lgs_operator.scaling.explanation import for_example, in_seconds
from lgs_operator.scaling.memory import Memory
from lgs_operator.scaling.policy import Policy
from lgs_operator.scaling.samples import Observation
from lgs_operator.scaling.schedule import soon

DOUBT_SECONDS = 30.0
"""Seconds without a report of the queue after which a replica is started that can report it."""
UNREPORTED = "no replica that answers requests tells whether runs wait"


def work(
    observation: Observation, demand: Demand, memory: Memory, foreseen: float, current: int
) -> str | None:
    """Why a replica is needed now, in words; None if nothing needs one. `foreseen` is the load of the days
    before at this time, in slots."""
    if demand.waiting or demand.in_use:
        return f"runs: {demand.waiting} waiting, {demand.in_use} executed"
    if memory.arrived or memory.ended:
        return "runs have come"
    if foreseen > 0:
        return f"at this time of day {foreseen:.1f} slots were in use before"
    due = _next_due(observation)
    if due is not None and due <= soon(0.0, memory.startup_seconds):
        return f"a delayed run or a cron is due in {in_seconds(due)}"
    return _unknown(observation, memory, current)


def _unknown(observation: Observation, memory: Memory, current: int) -> str | None:
    """Missing data is no reason to take the last replica away, nor to start the first one at once."""
    if current and observation.failed:
        return f"{observation.failed} of the replicas gave no data{for_example(observation)}"
    if not _is_told(observation) and (current or in_doubt(memory.blind_since, observation.at)):
        return UNREPORTED
    return None


def in_doubt(blind_since: float | None, now: float) -> bool:
    """Whether the queue has been unknown for too long."""
    return blind_since is not None and now - blind_since >= DOUBT_SECONDS


def worked_at(before: float | None, needs: str | None, now: float, current: int) -> float | None:
    """The time of the last work; None if it is unknown and no replica is there to wait for work."""
    if needs is not None or (before is None and current):
        return now
    return None if before is None else min(before, now)


def is_idle(policy: Policy, worked: float | None, now: float) -> bool:
    """Whether there was no work for `idleSeconds`."""
    return policy.min_replicas == 0 and (worked is None or now - worked >= policy.idle_seconds)


def rested(policy: Policy, proposal: Proposal, needs: str | None, *, idle: bool) -> Proposal:
    """`proposal`, if the service may go to 0: no replica when it is idle, else at least one."""
    if policy.min_replicas > 0:
        return proposal
    if idle and needs is None:
        return Proposal(
            0, f"nothing has come for {in_seconds(policy.idle_seconds)}: no replica", is_idle=True
        )
    if proposal.replicas > 0:
        return proposal
    stays = f"one stays until nothing has come for {in_seconds(policy.idle_seconds)}"
    return Proposal(1, f"{needs or stays}: 1 replica of {policy.slots} slots", for_load=1)


def _next_due(observation: Observation) -> float | None:
    dues = (sample.next_due_seconds for sample in observation.samples)
    return min((due for due in dues if due is not None), default=None)


def _is_told(observation: Observation) -> bool:
    """Whether a replica without slots, which stays when all others are gone, reports how many runs wait."""
    return any(sample.slots == 0 and sample.waiting is not None for sample in observation.samples)
