"""Whether a release is healthy: its replicas become ready, and its runs neither fail too often nor
take too long. Pure.

A new revision is measured until its rollout is complete and enough of its runs have ended; later failures are
not blamed on the release.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lgs_crds import LangGraphService
from lgs_crds.model.rollout import Rollout
from lgs_crds.status import CanaryStatus, Condition, RevisionStatus, Status, condition
from lgs_operator.scaling.durations import Durations, Pace, pace
from lgs_operator.scaling.outcomes import RunCounts
from lgs_operator.status.canary import words_of, works


def fails(counts: RunCounts, rollout: Rollout) -> bool:
    """Whether too many runs of a revision failed, once enough have ended to tell."""
    return counts.ended >= rollout.min_runs and counts.failed > rollout.max_error_rate * counts.ended


def is_too_slow(told: Pace | None, rollout: Rollout) -> bool:
    """Whether the runs of a revision surely take longer than allowed."""
    if told is None or rollout.max_p95_ratio is None:
        return False
    return told.slower and told.p95 >= rollout.max_p95_ratio * told.beside


def has_failed(counts: RunCounts, told: Pace | None, rollout: Rollout) -> bool:
    """Whether a revision has failed, by how its runs ended or how long they took."""
    return fails(counts, rollout) or is_too_slow(told, rollout)


def any_failed(runs: Mapping[int, RunCounts], durations: Mapping[int, Durations], rollout: Rollout) -> bool:
    """Whether one of the measured revisions has failed, by its runs so far."""
    return any(
        has_failed(counts, pace_now(durations[number], rollout), rollout) for number, counts in runs.items()
    )


def pace_now(durations: Durations, rollout: Rollout) -> Pace | None:
    """How long the runs of a revision take compared with others; None while too few have ended to tell."""
    return pace(durations, rollout.max_p95_ratio, rollout.min_runs)


def pace_of(revision: RevisionStatus | None) -> Pace | None:
    """The same as the status records it; None if it does not."""
    if revision is None or revision.p95 is None or revision.p95_beside is None:
        return None
    try:
        p95, beside = (float(each.removesuffix("s")) for each in (revision.p95, revision.p95_beside))
    except ValueError:
        return None
    return Pace(p95, beside, revision.slower is True)


def counts_of(revision: RevisionStatus | None) -> RunCounts:
    """The counts of a revision's runs that the status records."""
    return RunCounts() if revision is None else RunCounts(revision.runs or 0, revision.failed_runs or 0)


def to_go_back_to(service: LangGraphService, released: int, status: Status) -> int | None:
    """The revision to run in place of `released`, the one that the manifest asks for, if that has failed;
    None if `released` is to run. `status` is the one reported last."""
    rollout, states = service.spec.rollout, {each.revision: each.state for each in status.revisions}
    goes_back = rollout.auto_rollback or rollout.strategy == "Canary"
    if not goes_back or rollout.revision is not None or states.get(released) != "Failed":
        return None
    if status.revision is not None and status.revision != released and works(status.revision, status):
        return status.revision
    return max((number for number, state in states.items() if state == "Ready"), default=None)


def has_just_failed(service: LangGraphService, before: Status, now: Status) -> bool:
    """Whether the running revision has just become one to go back from. One that was so before, and could not
    be gone back from, does not count again: the reconciliation would be repeated without end."""
    released = now.revision if now.canary is None else now.canary.revision
    if released is None or to_go_back_to(service, released, now) is None:
        return False
    return to_go_back_to(service, released, before) is None


def healthy(
    service: LangGraphService,
    current: int | None,
    revisions: Sequence[RevisionStatus],
    taken_back: int | None,
    canary: CanaryStatus | None = None,
    *,
    stuck: str | None = None,
) -> Condition | None:
    """The condition Healthy; None before there is a revision. `taken_back` is the revision that failed and is
    not run, `canary` the one that runs beside `current`, `stuck` what keeps its replicas from working."""
    known = {each.revision: each for each in revisions}
    if taken_back is not None:
        words = f"revision {taken_back} was taken back: {_why(service, known.get(taken_back))}"
        still = " still" if current == taken_back else ""
        more = f"replicas{still} run revision {current}; a change of the manifest is released again"
        return condition("Healthy", "False", "RolledBack", f"{words}; {more}")
    if canary is not None and canary.revision != current and known.get(canary.revision) is not None:
        words = words_of(canary, service.spec.rollout) + _compared(service, pace_of(known[canary.revision]))
        return condition("Healthy", "Unknown", "Unverified", f"{words}; {stuck}" if stuck else words)
    found = None if current is None else known.get(current)
    if found is None:
        return None
    if found.state == "Failed":
        words = (
            f"revision {current}: {_why(service, found)}; `lgs rollback {service.metadata.name}` goes back"
        )
        return condition("Healthy", "False", "ReleaseFailed", words)
    if found.verified:
        words = f"revision {current}: {found.failed_runs or 0} of {found.runs or 0} runs failed"
        words += _compared(service, pace_of(found))
        return condition("Healthy", "True", "Verified", words)
    words = f"revision {current} is measured until {service.spec.rollout.min_runs} of its runs have ended"
    return condition("Healthy", "Unknown", "Unverified", words)


def _why(service: LangGraphService, revision: RevisionStatus | None) -> str:
    counts, rollout, told = counts_of(revision), service.spec.rollout, pace_of(revision)
    if not fails(counts, rollout):
        if told is None or not is_too_slow(told, rollout):
            return "none of its replicas was ready in time"
        ratio = f"{told.p95 / max(told.beside, 0.001):.1f} times as long, more than {rollout.max_p95_ratio:g}"
        return f"its runs take too long: {_percentiles(told)} ({ratio})"
    share = f"{100 * counts.failed / counts.ended:.0f} %, more than {100 * rollout.max_error_rate:g} %"
    return f"{counts.failed} of its {counts.ended} runs failed ({share})"


def _percentiles(told: Pace) -> str:
    return f"p95 {told.p95:g} s, and {told.beside:g} s of other revisions meanwhile"


def _compared(service: LangGraphService, told: Pace | None) -> str:
    """How long its runs took, in words; empty if the manifest does not ask to compare that."""
    if service.spec.rollout.max_p95_ratio is None:
        return ""
    if told is None:
        return "; too few ended beside those of other revisions to compare how long they take"
    return f"; {_percentiles(told)}"
