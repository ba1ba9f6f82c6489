"""A release is measured by how its own runs end, until there are enough to tell; one that fails is gone back
from, once and to one that worked."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgs_crds import LangGraphService, parse
from lgs_crds.status import RevisionStatus, Status
from lgs_operator.releases import retreats
from lgs_operator.scaling import Histogram, ReplicaSample
from lgs_operator.scaling.durations import Durations
from lgs_operator.scaling.outcomes import ReplicaCounts, RunCounts, counted, total
from lgs_operator.status.diagnosis import Diagnosis
from lgs_operator.status.health import fails, has_just_failed, healthy, pace_of, to_go_back_to
from lgs_operator.status.observed import ObservedService
from lgs_operator.status.revisions import current_revision, revisions
from support.drawn_manifests import examples

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def service(**rollout: Any) -> LangGraphService:
    head = {"apiVersion": "lgs.dev/v1alpha1", "kind": "LangGraphService", "metadata": {"name": "support"}}
    return parse({**head, "spec": {"image": "a:1", "rollout": rollout}})


def sample(replica: str, ended: int, failed: int) -> ReplicaSample:
    return ReplicaSample(replica, at=0.0, slots=1, finished=float(ended), failed=float(failed))


@pytest.mark.parametrize(
    ("ended", "failed", "is_so"),
    [(117, 71, True), (19, 19, False), (20, 10, False), (20, 11, True), (0, 0, False)],
)
def test_a_release_fails_by_more_than_the_share_that_may_of_enough_runs(
    ended: int, failed: int, is_so: bool
) -> None:
    assert fails(RunCounts(ended, failed), service().spec.rollout) is is_so


def test_not_one_run_may_fail_where_the_manifest_says_so() -> None:
    strict = service(maxErrorRate=0, minRuns=1).spec.rollout

    assert not fails(RunCounts(1, 0), strict)
    assert fails(RunCounts(1000, 1), strict)


@examples(200)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans(), st.integers(0, 9), st.integers(0, 9))))
def test_what_replicas_counted_before_they_began_anew_stays_counted(
    rounds: list[tuple[str, bool, int, int]],
) -> None:
    """Where a process that begins anew has ended less than the one before, which is how it shows."""
    known: dict[str, ReplicaCounts] = {}
    process: dict[str, RunCounts] = {}
    ended = RunCounts()
    for name, anew, well, badly in rounds:
        before = process.get(name, RunCounts())
        more = RunCounts(well + badly, badly)
        if anew and more.ended < before.ended:
            before = RunCounts()
        process[name] = before + more
        ended += more
        known = counted(known, [sample(name, process[name].ended, process[name].failed)], frozenset("ab"))

    assert total(known) == ended


def test_replicas_of_another_revision_are_not_counted() -> None:
    known = counted({}, [sample("old", 100, 100), sample("new", 3, 1)], frozenset({"new"}))

    assert total(known) == RunCounts(3, 1)


def seen(current: int, *, complete: bool = True) -> ObservedService:
    """A service with revisions 1 and 2, of which one has its replica."""
    labels = {"lgs.dev/revision": str(current)}
    deployment = {
        "metadata": {"generation": 1},
        "spec": {"replicas": 1, "template": {"metadata": {"labels": labels}}},
        "status": {"replicas": 1 if complete else 2, "updatedReplicas": 1, "readyReplicas": 1},
    }
    conditions = [{"type": "Ready", "status": "True"}]
    pod = {"metadata": {"name": "p", "labels": labels}, "status": {"conditions": conditions}}
    history = tuple(
        {"metadata": {"name": f"r-{each}"}, "revision": each, "data": {"spec": {}}} for each in (1, 2)
    )
    return ObservedService(service(), deployment=deployment, pods=(pod,), revisions=history)


def told(view: ObservedService, before: Status, runs: dict[int, RunCounts]) -> Status:
    """What the status says next."""
    now = revisions(view, before, runs, now=NOW)
    return Status(revision=current_revision(view.deployment), revisions=now)


def of(status: Status, number: int) -> RevisionStatus:
    return next(each for each in status.revisions if each.revision == number)


def test_a_revision_is_verified_once_its_rollout_is_complete_and_enough_runs_ended_well() -> None:
    few = told(seen(1), Status(), {1: RunCounts(19, 0)})
    rolling = told(seen(1, complete=False), few, {1: RunCounts(40, 3)})
    whole = told(seen(1), rolling, {1: RunCounts(41, 3)})
    later = told(seen(1), whole, {})

    assert [of(each, 1).verified for each in (few, rolling, whole, later)] == [None, None, True, True]
    assert (of(later, 1).runs, of(later, 1).failed_runs) == (41, 3)


def test_what_fails_once_a_revision_is_verified_is_not_its_release_that_fails() -> None:
    verified = told(seen(1), Status(), {1: RunCounts(20, 0)})

    assert of(told(seen(1), verified, {1: RunCounts(1000, 900)}), 1).state == "Ready"


def test_a_failed_release_stays_failed_though_its_replicas_are_ready_and_when_others_run() -> None:
    failed = told(seen(2), Status(), {2: RunCounts(117, 71)})
    back = told(seen(1), failed, {})

    assert [of(each, 2).state for each in (failed, back)] == ["Failed", "Failed"]
    assert (of(back, 2).runs, of(back, 2).failed_runs, of(back, 1).state) == (117, 71, "Ready")


def late(*ready: int, **more: Any) -> ObservedService:
    """Revision 2 was not rolled out in time; it has a replica, and so has revision 1: those of `ready` take
    work."""
    whole = seen(2)
    assert whole.deployment is not None
    status = {
        "observedGeneration": 1,
        "readyReplicas": len(ready),
        "conditions": [{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}],
    }
    pods = tuple(
        {
            "metadata": {"name": f"of-{each}", "labels": {"lgs.dev/revision": str(each)}},
            "status": {"conditions": [{"type": "Ready", "status": str(each in ready)}]},
        }
        for each in (1, 2)
    )
    return replace(whole, deployment=whole.deployment | {"status": status}, pods=pods, **more)


AWAY = {"database": "no answer within 2 s"}
ASLEEP = Diagnosis("ClusterHibernated", "Cluster main of CloudNativePG: Cluster has been hibernated")


def test_a_release_is_not_to_blame_for_a_database_that_is_away_from_all_replicas() -> None:
    before = known(r2="Progressing", r1="Ready")
    by_words = late(reports={"of-1": AWAY, "of-2": AWAY})
    by_cluster = late(cluster=ASLEEP)
    back = replace(by_cluster, cluster=None, pods=late(1).pods)

    for view in (by_words, by_cluster, back):
        assert of(told(view, before, {}), 2).state == "Progressing"


def test_a_release_that_alone_does_not_reach_the_database_has_failed() -> None:
    before = known(r2="Progressing", r1="Ready")
    others_do = late(1, reports={"of-2": AWAY})
    nobody_else_tried = replace(late(reports={"of-2": AWAY}), pods=late().pods[1:])
    for_another_reason = late(reports={"of-1": {"queue": "stopped"}})

    for view in (others_do, nobody_else_tried, for_another_reason):
        assert of(told(view, before, {}), 2).state == "Failed"


QUOTA = 'pods "support-7f9-x2x4z" is forbidden: exceeded quota: team, used: pods=3, limited: pods=3'


def unplaced(*, taken: str | None = None) -> dict[str, Any]:
    """A replica of revision 2 without a node; `taken`: one has taken it since."""
    placed = {"type": "PodScheduled", "status": str(taken is not None), "lastTransitionTime": taken or "x"}
    return {
        "metadata": {"name": "of-2", "labels": {"lgs.dev/revision": "2"}},
        "status": {"conditions": [placed]},
    }


def without_room(*pods: dict[str, Any], quota: bool = False) -> ObservedService:
    """Revision 2 was not rolled out in time; of its replicas there are these."""
    view = late(1)
    assert view.deployment is not None
    gone_on = {
        "type": "Progressing",
        "reason": "ProgressDeadlineExceeded",
        "lastUpdateTime": "2026-01-01T11:50:00Z",
    }
    refused = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": QUOTA}
    conditions = [gone_on, *([refused] if quota else [])]
    deployment = view.deployment | {"status": view.deployment["status"] | {"conditions": conditions}}
    return replace(view, deployment=deployment, pods=(view.pods[0], *pods))


def test_a_release_that_never_ran_for_want_of_room_has_not_failed() -> None:
    before = known(r2="Progressing", r1="Ready")
    just_placed = unplaced(taken="2026-01-01T11:55:00Z")
    just_made = unplaced() | {"status": {}}
    just_made["metadata"]["creationTimestamp"] = "2026-01-01T11:55:00Z"

    for view in (without_room(quota=True), *map(without_room, (unplaced(), just_placed, just_made))):
        assert of(told(view, before, {}), 2).state == "Progressing"


def test_one_that_had_room_and_its_time_has() -> None:
    before = known(r2="Progressing", r1="Ready")
    in_time, since = (unplaced(taken=f"2026-01-01T{at}:00Z") for at in ("11:40", "11:50"))

    for view in (without_room(in_time), without_room(since), without_room(unplaced(), in_time)):
        assert of(told(view, before, {}), 2).state == "Failed"


def known(**states: str) -> Status:
    """A status with these revisions."""
    return Status(revisions=[RevisionStatus(revision=int(k[1:]), state=v) for k, v in states.items()])  # type: ignore[arg-type]


def test_one_goes_back_to_the_newest_that_worked_from_one_that_failed_and_only_then() -> None:
    status = known(r4="Failed", r3="Replaced", r2="Ready", r1="Ready")
    going = service(autoRollback=True)

    assert to_go_back_to(going, 4, status) == 2
    assert [to_go_back_to(going, number, status) for number in (1, 2, 3, 5)] == [None] * 4
    assert to_go_back_to(service(), 4, status) is None
    assert to_go_back_to(service(autoRollback=True, revision=4), 4, status) is None, "a person asks for it"
    assert to_go_back_to(going, 1, known(r1="Failed")) is None, "there is none that worked"


def pod_of(revision: int, **more: str) -> dict[str, Any]:
    """A replica of this revision."""
    labels = {"lgs.dev/revision": str(revision)}
    return {"metadata": {"name": f"of-{revision}", "labels": labels, **more}, "status": {"phase": "Running"}}


def test_replicas_of_a_release_whose_runs_fail_go_soon_as_long_as_there_are_any() -> None:
    going = service(autoRollback=True)
    failed = told(seen(2), Status(), {2: RunCounts(117, 71)})
    drains = pod_of(2, deletionTimestamp="2026-01-01T00:00:00Z")

    assert retreats(going.spec.rollout, 2, failed, [pod_of(1), pod_of(2)])
    assert not retreats(going.spec.rollout, 2, failed, [pod_of(1), drains])


def test_those_of_one_that_is_slow_or_was_never_ready_go_as_in_any_rollout() -> None:
    rolling = bounded(seen(2, complete=False))
    slow = timed(rolling, known(r2="Progressing", r1="Ready"), ran(30, 5.0), ran(90, 0.5))

    for status in (slow, known(r2="Failed", r1="Ready")):
        assert not retreats(rolling.service.spec.rollout, 2, status, [pod_of(1), pod_of(2)])


def test_a_failure_is_acted_on_at_once_and_one_that_stays_is_not_tried_again_and_again() -> None:
    going = service(autoRollback=True)
    fine = Status(revision=2, revisions=known(r2="Progressing", r1="Ready").revisions)
    failed = Status(revision=2, revisions=known(r2="Failed", r1="Ready").revisions)
    back = failed.model_copy(update={"revision": 1})

    assert has_just_failed(going, fine, failed)
    assert not has_just_failed(going, failed, failed), "it can't be gone back from now"
    assert not has_just_failed(going, failed, back)
    assert not has_just_failed(service(), fine, failed)


def test_the_condition_says_what_failed_with_the_numbers_and_what_runs() -> None:
    failed = told(seen(2), Status(), {2: RunCounts(117, 71)}).revisions
    late = known(r2="Failed", r1="Ready").revisions

    taken_back = healthy(service(autoRollback=True), 1, failed, 2)
    left = healthy(service(), 2, failed, None)
    never_ready = healthy(service(), 2, late, None)

    assert taken_back is not None and left is not None and never_ready is not None
    assert (taken_back.status, taken_back.reason) == ("False", "RolledBack")
    assert taken_back.message == (
        "revision 2 was taken back: 71 of its 117 runs failed (61 %, more than 50 %); "
        "replicas run revision 1; a change of the manifest is released again"
    )
    assert (left.reason, left.message.split("; ")[1]) == (
        "ReleaseFailed",
        "`lgs rollback support` goes back",
    )
    assert "revision 2: none of its replicas was ready in time" in never_ready.message


def test_a_service_without_a_revision_says_nothing_of_its_health() -> None:
    assert healthy(service(), None, [], None) is None
    bare = replace(seen(1), deployment=None, revisions=())
    assert revisions(bare, Status(), {}, now=NOW) == []


def ran(count: int, seconds: float) -> Histogram:
    """So many runs, each of which took so long."""
    bounds = (0.1, 1.0, 2.0, 10.0, inf)
    within = tuple(float(count) if seconds <= bound else 0.0 for bound in bounds)
    return Histogram(bounds, within, count * seconds, float(count))


def timed(view: ObservedService, before: Status, own: Histogram, beside: Histogram) -> Status:
    """What the status says next of revision 2, whose runs all ended well."""
    runs, durations = {2: RunCounts(int(own.count), 0)}, {2: Durations(own, beside)}
    now = revisions(view, before, runs, durations, now=NOW)
    return Status(revision=current_revision(view.deployment), revisions=now)


def bounded(view: ObservedService, ratio: float | None = 2.0) -> ObservedService:
    """The same service, whose releases may take so many times as long."""
    return replace(view, service=service(autoRollback=True, maxP95Ratio=ratio))


def test_a_release_that_takes_too_long_has_failed_stays_so_and_is_gone_back_from() -> None:
    rolling = bounded(seen(2, complete=False))
    failed = timed(rolling, known(r2="Progressing", r1="Ready"), ran(30, 5.0), ran(90, 0.5))
    back = told(bounded(seen(1)), failed, {})

    assert [of(each, 2).state for each in (failed, back)] == ["Failed", "Failed"]
    assert (of(back, 2).p95, of(back, 2).p95_beside, of(back, 2).slower) == ("9.600s", "0.955s", True)
    assert to_go_back_to(rolling.service, 2, failed) == 1
    condition = healthy(rolling.service, 1, back.revisions, 2)
    assert condition is not None
    assert condition.message == (
        "revision 2 was taken back: its runs take too long: p95 9.6 s, and 0.955 s of other revisions "
        "meanwhile (10.1 times as long, more than 2); replicas run revision 1; a change of the manifest is "
        "released again"
    )


def test_one_that_failed_by_its_time_has_not_once_its_manifest_allows_that_time() -> None:
    rolling = bounded(seen(2, complete=False))
    failed = timed(rolling, known(r2="Progressing", r1="Ready"), ran(30, 5.0), ran(90, 0.5))

    for allowed in (None, 50.0):
        assert of(told(bounded(seen(2), allowed), failed, {}), 2).state == "Ready"
    assert of(told(bounded(seen(2), 3.0), failed, {}), 2).state == "Failed"


def test_a_release_that_takes_as_long_is_verified_and_says_how_long() -> None:
    view = bounded(seen(2))
    fine = timed(view, known(r2="Progressing", r1="Ready"), ran(30, 0.6), ran(90, 0.5))
    alone = timed(view, known(r2="Progressing", r1="Ready"), ran(30, 0.6), ran(3, 0.5))

    said = [healthy(view.service, 2, each.revisions, None) for each in (fine, alone)]
    assert [each and each.reason for each in said] == ["Verified", "Verified"]
    assert [each and each.message.partition("; ")[2] for each in said] == [
        "p95 0.955 s, and 0.955 s of other revisions meanwhile",
        "too few ended beside those of other revisions to compare how long they take",
    ]


def test_how_long_runs_take_is_no_failure_where_the_manifest_says_nothing_of_it() -> None:
    view = bounded(seen(2), None)

    now = timed(view, known(r2="Progressing", r1="Ready"), ran(30, 5.0), ran(90, 0.5))
    said = healthy(view.service, 2, now.revisions, None)

    assert of(now, 2).state == "Ready"
    assert said is not None
    assert said.message == "revision 2: 0 of 30 runs failed"


def test_a_status_that_somebody_wrote_says_nothing_of_the_time_where_it_is_none() -> None:
    assert pace_of(RevisionStatus(revision=1, state="Ready", p95="soon", p95_beside="1s")) is None
