"""The state of a canary: which revision runs beside the one before it, with what share of the threads, and
when it takes the next step. Pure.

All of it is in the status, so that another operator continues where this one stopped.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from lgs_crds import LangGraphService
from lgs_crds.model.rollout import Rollout
from lgs_crds.status import CanaryStatus, Status, timestamp
from lgs_operator.scaling.outcomes import RunCounts

WHOLE: Final = 100
"""The share after the last step, in percent."""


def shares(rollout: Rollout) -> list[int]:
    """The shares of the threads in the order of the steps, in percent."""
    return sorted(set(rollout.steps))


def canary_of(
    service: LangGraphService, released: int, current: int | None, status: Status, now: datetime
) -> CanaryStatus | None:
    """The canary that should run; None if all replicas should run `released`. `current` is the revision that
    they run, `released` the one that the manifest asks for, `status` the status reported last."""
    rollout = service.spec.rollout
    states = {each.revision: each.state for each in status.revisions}
    if rollout.strategy != "Canary" or rollout.revision is not None or current == released:
        return None
    if current is None or not works(current, status) or states.get(released) == "Failed":
        return None
    known, steps = status.canary, shares(rollout)
    if known is None or known.revision != released:
        return CanaryStatus(revision=released, step=1, percent=steps[0], since=timestamp(now))
    if known.percent >= WHOLE:
        return None
    # with fewer steps than it has taken, it stays at the last one; no step begins in the future
    step, begun = min(known.step, len(steps)), datetime.fromisoformat(known.since)
    since = known.since if step == known.step and begun <= now else timestamp(now)
    return known.model_copy(update={"step": step, "percent": steps[step - 1], "since": since})


def works(current: int, status: Status) -> bool:
    """Whether the revision that replicas run became ready. One that is no longer kept in the history counts
    too if it is the current one: its replicas exist."""
    state = next((each.state for each in status.revisions if each.revision == current), None)
    return state == "Ready" or (state is None and status.revision == current)


def stepped(
    canary: CanaryStatus, rollout: Rollout, counts: RunCounts, now: datetime, *, ready: bool
) -> CanaryStatus:
    """The canary after its runs so far, `counts` since the step began. It takes the next step once it is
    `ready`, its pause is over and enough runs have ended. After the last step it gets all threads."""
    known = canary.model_copy(update={"runs": counts.ended, "failed_runs": counts.failed})
    rested = (now - datetime.fromisoformat(canary.since)).total_seconds() >= rollout.pause_seconds
    if not ready or not rested or counts.ended < rollout.min_runs:
        return known
    steps = shares(rollout)
    percent = steps[canary.step] if canary.step < len(steps) else WHOLE
    return CanaryStatus(revision=canary.revision, step=canary.step + 1, percent=percent, since=timestamp(now))


def words_of(canary: CanaryStatus, rollout: Rollout) -> str:
    """What the conditions say of the canary."""
    steps = shares(rollout)
    if canary.percent >= WHOLE:
        return f"revision {canary.revision} was a canary that did well, and becomes the whole"
    failed, ended = canary.failed_runs or 0, canary.runs or 0
    return (
        f"revision {canary.revision} is a canary with {canary.percent} % of the threads, "
        f"step {canary.step} of {len(steps)}: {failed} of {ended} runs failed, {rollout.min_runs} are needed"
    )
