"""Where a canary stands: which revision runs beside the one before it, with which share of the threads, and
when it takes the next step. Pure.

All of it is in the status, so that another operator goes on where this one stopped.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from lgs_crds import LangGraphService
from lgs_crds.model.rollout import Rollout
from lgs_crds.status import CanaryStatus, Status, timestamp
from lgs_operator.scaling.outcomes import RunCounts

WHOLE: Final = 100
"""The share, in percent, that comes after the last step."""


def shares(rollout: Rollout) -> list[int]:
    """Of the threads, in percent, one after the other."""
    return sorted(set(rollout.steps))


def canary_of(
    service: LangGraphService, released: int, current: int | None, status: Status, now: datetime
) -> CanaryStatus | None:
    """The canary that is to be there; None where the replicas are to run `released` whole. `current` is what
    they run, `released` what the manifest asks for, `status` as it was reported last."""
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
    # fewer steps than it has taken are no reason to be the whole, and no step begins in a time to come
    step, begun = min(known.step, len(steps)), datetime.fromisoformat(known.since)
    since = known.since if step == known.step and begun <= now else timestamp(now)
    return known.model_copy(update={"step": step, "percent": steps[step - 1], "since": since})


def works(current: int, status: Status) -> bool:
    """Whether the revision that replicas run was ready. That it is kept no longer says nothing of it: its
    replicas are there."""
    state = next((each.state for each in status.revisions if each.revision == current), None)
    return state == "Ready" or (state is None and status.revision == current)


def stepped(
    canary: CanaryStatus, rollout: Rollout, counts: RunCounts, now: datetime, *, ready: bool
) -> CanaryStatus:
    """The canary after its runs so far, `counts` since the step began: it takes the next step once it has had
    its time and enough of them, none of which says that it fails. The one after the last is the whole."""
    known = canary.model_copy(update={"runs": counts.ended, "failed_runs": counts.failed})
    rested = (now - datetime.fromisoformat(canary.since)).total_seconds() >= rollout.pause_seconds
    if not ready or not rested or counts.ended < rollout.min_runs:
        return known
    steps = shares(rollout)
    percent = steps[canary.step] if canary.step < len(steps) else WHOLE
    return CanaryStatus(revision=canary.revision, step=canary.step + 1, percent=percent, since=timestamp(now))


def words_of(canary: CanaryStatus, rollout: Rollout) -> str:
    """For the conditions."""
    steps = shares(rollout)
    if canary.percent >= WHOLE:
        return f"revision {canary.revision} was a canary that did well, and becomes the whole"
    failed, ended = canary.failed_runs or 0, canary.runs or 0
    return (
        f"revision {canary.revision} is a canary with {canary.percent} % of the threads, "
        f"step {canary.step} of {len(steps)}: {failed} of {ended} runs failed, {rollout.min_runs} are needed"
    )
