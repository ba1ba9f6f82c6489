"""A canary beside what can't be made anew, without room, or under a name that somebody has: nothing becomes
the whole for that, what goes wrong is said, and what can goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from lgs_crds import LangGraphService, parse
from lgs_crds.status import CanaryStatus, RevisionStatus, Status
from lgs_operator.desired.inputs import Inputs, Revision
from lgs_operator.desired.pinned import Pinned, missing_of
from lgs_operator.desired.revision import numbered
from lgs_operator.handover import held, kept_canary
from lgs_operator.kube.kinds import CONTROLLER_REVISION, DEPLOYMENT, SECRET, Key, Manifest, ServiceKey
from lgs_operator.kube.referenced import MissingReference, Reference
from lgs_operator.naming import DIGEST_ANNOTATION
from lgs_operator.observer import may_work
from lgs_operator.releases import run_by
from lgs_operator.scaling import ReplicaSample
from lgs_operator.scaling.outcomes import RunCounts
from lgs_operator.settings import Images
from lgs_operator.stable_revision import Known, beside, taken_back, without_canary
from lgs_operator.status.canary import canary_of
from lgs_operator.status.diagnosis import Diagnosis
from lgs_operator.status.halted import halted_status
from lgs_operator.status.health import to_go_back_to
from lgs_operator.status.observed import ObservedService
from lgs_operator.status.reporter import condition_events
from lgs_operator.status.restore import RestoreView
from lgs_operator.status.revisions import revisions
from lgs_operator.status.scaling import ScalingView
from lgs_operator.status.service import as_json, progressing, status_of

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
KEY = ServiceKey("team", "support")
WHOLE, CANARY = (Key(DEPLOYMENT, "team", name) for name in ("support", "support-canary"))
DOCUMENT: dict[str, Any] = {
    "apiVersion": "lgs.dev/v1alpha1",
    "kind": "LangGraphService",
    "metadata": {"name": "support", "namespace": "team", "uid": "u1"},
    "spec": {
        "image": "a:2",
        "persistence": {"postgres": {"managed": {}}},
        "rollout": {"strategy": "Canary", "steps": [10, 50], "pauseSeconds": 60, "minRuns": 20},
    },
}
QUOTA = "exceeded quota: team, requested: pods=1, used: pods=3, limited: pods=3"


def service() -> LangGraphService:
    return parse(DOCUMENT)


def inputs(number: int | None = 2) -> Inputs:
    revision = None if number is None else Revision(number, f"support-revision-{number}", {})
    return replace(Inputs(service(), Images(), "abc", None, "", "lgs-system"), revision=revision)


def status(canary: CanaryStatus | None = None, revision: int | None = 1, **states: str) -> Status:
    told = [RevisionStatus(revision=int(name[1:]), state=state) for name, state in states.items()]  # type: ignore[arg-type]
    return Status(revision=revision, canary=canary, revisions=told)


def at(step: int, percent: int) -> CanaryStatus:
    return CanaryStatus(revision=2, step=step, percent=percent, since="2026-01-01T11:00:00Z")


def kept(number: int, **spec: Any) -> Manifest:
    """A revision as it is kept."""
    data = {"spec": {"image": f"a:{number}"} | spec}
    return {"metadata": {"name": f"support-revision-{number}"}, "revision": number, "data": data}


def known(*history: Manifest, before: Status | None = None) -> Known:
    return Known(DOCUMENT, 1, history, before or status(at(1, 10), r1="Ready", r2="Progressing"))


LOST = status(at(1, 10), r2="Progressing")
"""Said once nobody keeps the revision beside the canary any more."""


def test_a_canary_goes_on_beside_replicas_whose_revision_somebody_deleted() -> None:
    found = canary_of(service(), 2, 1, LOST, NOW)

    assert found is not None and (found.step, found.percent) == (1, 10), "it would be the whole at once"
    assert canary_of(service(), 2, 1, status(at(1, 10)), NOW) is not None, "both are kept no longer"
    for before in (LOST, None):
        stands = beside(inputs(), known(kept(2), before=before), frozenset(), NOW)
        assert stands is not None and stands.canary is not None
        (told,) = stands.lacking
        assert told.reason == "RevisionNotFound"
        assert told.message.startswith(
            "revision 1, which replicas run, is not kept any more: its replicas stay"
        )


@pytest.mark.parametrize(("number", "goes_on"), [(1, True), (3, False)])
@pytest.mark.parametrize("told", [1, None])
def test_a_canary_is_not_the_whole_for_a_deployment_beside_it_that_somebody_deleted(
    number: int, goes_on: bool, told: int | None
) -> None:
    before = status(at(1, 10), told, r0="Ready", r1="Ready", r2="Progressing")
    lost = replace(known(kept(number), kept(2), before=before), current=None, is_there=False)

    stands = beside(inputs(), lost, frozenset(), NOW)

    assert (stands is not None) == goes_on, "of a revision that is not kept none can be made"
    if stands is not None:
        assert (stands.number, stands.lacking) == (1, ())
        assert stands.canary is not None and stands.canary.percent == 10


def test_a_service_without_a_deployment_yet_has_no_canary() -> None:
    new = replace(known(before=Status()), current=None, is_there=False)

    assert beside(inputs(), new, frozenset(), NOW) is None


def test_it_goes_on_beside_a_revision_that_does_not_go_with_the_manifest_any_more() -> None:
    unfit = kept(1, pod={"env": [{"name": "LGS_ROLE", "value": "api"}]})

    stands = beside(inputs(), known(unfit, kept(2)), frozenset(), NOW)

    assert stands is not None and stands.canary is not None
    (told,) = stands.lacking
    assert told.reason == "RevisionInvalid"
    assert "spec.pod.env[0].name" in told.message


def test_a_release_that_failed_goes_though_the_revision_that_runs_is_kept_no_longer() -> None:
    failed = status(at(1, 10), r2="Failed", r0="Ready")

    assert to_go_back_to(service(), 2, failed) == 1, "an older one would be rolled out over what works"
    back = taken_back(inputs(), known(kept(2), before=failed))
    assert back is not None
    assert (back.instead_of, back.canary) == (2, None)
    assert [each.reason for each in back.lacking] == ["RevisionNotFound"]


def test_what_was_released_has_its_number_though_all_that_was_kept_is_deleted() -> None:
    first = numbered(inputs(None), [])
    digest = first.name.rpartition("-")[2]

    assert numbered(inputs(None), [], {digest: 2, "another": 1}).number == 2
    assert numbered(inputs(None), [], {"another": 4}).number == 5
    assert numbered(inputs(None), [kept(3)], {"support": 4}).number == 5, "replicas run that"


def test_no_number_is_of_a_deployment_that_only_looks_like_one_of_the_services() -> None:
    def runs(number: int, **annotations: str) -> Manifest:
        template = {"metadata": {"labels": {"lgs.dev/revision": str(number)}}}
        return {"metadata": {"annotations": annotations}, "spec": {"template": template}}

    live = {
        WHOLE: runs(3),
        CANARY: runs(4, **{DIGEST_ANNOTATION: "abc"}),
        Key(DEPLOYMENT, "team", "support-fake"): runs(2**31),
        Key(DEPLOYMENT, "team", "support-api"): runs(10**18),
    }

    assert run_by(KEY, live) == {"support": 3, "abc": 4}


def hold(*, alone: bool) -> frozenset[Key]:
    """What stays as it is where something is missing."""
    live: dict[Key, Manifest] = {WHOLE: deployment(1, 3), CANARY: deployment(2, 1)}
    restore = RestoreView()
    return held(KEY, inputs(None), live, (), (), lacking=True, paused=False, restore=restore, alone=alone)


def test_what_the_revision_beside_it_lacks_holds_that_one_alone() -> None:
    assert CANARY in hold(alone=False)
    assert WHOLE in hold(alone=True)
    assert CANARY not in hold(alone=True)


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("spec.pod.env[0]", "revision 1: gone"),
        ("spec.source.configMap", "revision 1: gone"),
        ("spec.cache.redis.uriSecret", "gone"),
        ("spec.persistence.postgres.uriSecret", "gone"),
    ],
)
def test_what_only_a_revision_names_is_told_as_that_revisions(field: str, words: str) -> None:
    missing = MissingReference("SecretNotFound", "gone", Reference(SECRET, "keys", field))

    (told,) = missing_of(Pinned(service(), None, number=1), (missing,))

    assert told.message == words
    assert missing_of(None, (missing,)) == (missing,)


def test_a_canary_whose_name_somebody_has_is_not_released_and_says_whose_it_is() -> None:
    stable = beside(inputs(), known(kept(1), kept(2)), frozenset(), NOW)
    assert stable is not None and not stable.lacking

    alone = without_canary(stable, "support", "Deployment support-canary belongs to another")

    assert alone.canary is None
    assert [each.reason for each in alone.lacking] == ["Refused"]
    assert alone.lacking[0].message == (
        "spec.rollout.strategy: Canary: revision 2 is not released: its Deployment support-canary belongs to "
        "another; or choose Rolling"
    )


def deployment(revision: int, updated: int, *conditions: Mapping[str, Any], replicas: int = 3) -> Manifest:
    """Three replicas of which so many are of its template and ready."""
    labels = {"lgs.dev/revision": str(revision)}
    template = {"metadata": {"labels": labels}, "spec": {"containers": []}}
    numbers = {"replicas": replicas, "updatedReplicas": updated, "readyReplicas": replicas}
    seen = {"observedGeneration": 1, "conditions": list(conditions)}
    spec = {"replicas": replicas, "template": template}
    return {"metadata": {"generation": 1}, "spec": spec, "status": numbers | seen}


REFUSED = {
    "type": "ReplicaFailure",
    "status": "True",
    "reason": "FailedCreate",
    "message": f'pods "support-canary-x2x4z" is forbidden: {QUOTA}',
}
LATE = {"type": "Progressing", "reason": "ProgressDeadlineExceeded"}


def replica(name: str, revision: int, *, ready: bool = True, **status: Any) -> Manifest:
    labels = {"lgs.dev/revision": str(revision), "lgs.dev/track": "canary"}
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {"metadata": {"name": name, "labels": labels}, "status": {"conditions": conditions} | status}


def seen(canary: Manifest | None, *pods: Manifest, whole: Manifest | None = None) -> ObservedService:
    stable = [replica(f"r{each}", 1) for each in range(3)]
    for each in stable:
        del each["metadata"]["labels"]["lgs.dev/track"]
    return ObservedService(
        service(),
        deployment=whole or deployment(1, 3),
        pods=tuple(stable),
        revisions=(kept(1), kept(2)),
        canary=2 if canary else None,
        canary_deployment=canary,
        canary_pods=pods,
        released=None if canary else 2,
    )


def states(view: ObservedService, before: Status) -> dict[int, str]:
    return {each.revision: each.state for each in revisions(view, before, {}, now=NOW)}


def test_a_manifest_after_the_last_step_is_a_canary_beside_the_one_that_did_well() -> None:
    """Though none of the replicas that are to run that one is ready yet."""
    did_well = status(at(3, 100), r1="Ready", r2="Progressing")
    view = seen(None, whole=deployment(2, 0))

    now = states(view, did_well)

    assert now == {1: "Ready", 2: "Ready"}
    after = Status(revision=2, revisions=revisions(view, did_well, {}, now=NOW))
    third = canary_of(service(), 3, 2, after, NOW)
    assert third is not None and (third.revision, third.percent) == (3, 10)


def test_a_revision_that_worked_once_is_judged_anew_as_a_canary() -> None:
    before = status(at(1, 10), r1="Ready", r2="Ready")
    once = before.model_copy(
        update={"revisions": [each.model_copy(update={"verified": True}) for each in before.revisions]}
    )
    counts = {1: RunCounts(100, 90), 2: RunCounts(100, 90)}

    told = revisions(seen(deployment(2, 1, replicas=1)), once, counts, now=NOW)

    assert {each.revision: each.state for each in told} == {1: "Ready", 2: "Failed"}


def test_a_quota_that_lets_no_replica_of_a_canary_be_made_is_told_and_it_waits() -> None:
    before = status(at(1, 10), r1="Ready", r2="Progressing")
    none = deployment(2, 0, REFUSED, LATE, replicas=1)
    view = seen(none | {"status": none["status"] | {"replicas": 0, "readyReplicas": 0}})

    assert states(view, before) == {1: "Ready", 2: "Progressing"}
    told = status_of(view, ScalingView(), as_json(before), NOW)
    healthy, moves = (
        next(each for each in told["conditions"] if each["type"] == kind)
        for kind in ("Healthy", "Progressing")
    )
    assert "; 0 of 1 replicas of the canary take work: pods are refused: exceeded quota" in healthy["message"]
    assert "raise the ResourceQuota" in healthy["message"]
    assert (moves["status"], moves["reason"]) == ("False", "ProgressDeadlineExceeded")
    assert "exceeded quota" in moves["message"]


def test_before_it_is_late_the_quota_is_an_event() -> None:
    view = seen(deployment(2, 0, REFUSED, replicas=1))

    said = as_json(progressing(view))  # type: ignore[arg-type]

    assert said["reason"] == "QuotaExceeded"
    assert list(condition_events([], [said])) == [said]


def test_a_canary_of_which_some_replicas_never_get_ready_says_why() -> None:
    unplaced = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    stuck = replica("b", 2, ready=False)
    stuck["status"]["conditions"].append(unplaced)
    view = seen(deployment(2, 2, replicas=2), replica("a", 2), stuck)

    assert progressing(view).reason == "Unschedulable"
    assert progressing(view).message == (
        "1 of 2 replicas of the canary take work: pod b has no node: 0/3 nodes"
    )


def test_a_canary_that_starts_is_no_trouble() -> None:
    view = seen(deployment(2, 1, replicas=2), replica("a", 2, ready=False))

    assert progressing(view).reason == "Complete"


def test_one_that_hangs_at_its_start_says_what_it_says_of_itself() -> None:
    view = seen(deployment(2, 1, LATE, replicas=1), replica("a", 2, ready=False))
    asked = replace(view, reports={"a": {"queue": "starting"}, "r1": {"queue": "of another one"}})

    assert "pod a: queue: starting" in progressing(asked).message
    assert "pods run and don't get ready" in progressing(view).message


def test_a_canary_that_becomes_the_whole_makes_room_where_there_is_none() -> None:
    """Its replicas have what those need that are to take their place."""
    live = {CANARY: deployment(2, 3)}
    unplaced = replica("new", 2, ready=False)
    unplaced["status"]["conditions"].append({"type": "PodScheduled", "status": "False"})

    assert kept_canary(KEY, inputs(2), live | {WHOLE: deployment(2, 0)}) == {CANARY}
    assert kept_canary(KEY, inputs(2), live | {WHOLE: deployment(2, 0, REFUSED)}) == set()
    assert kept_canary(KEY, inputs(2), live | {WHOLE: deployment(2, 0)}, [unplaced]) == set()
    assert kept_canary(KEY, inputs(2), live | {WHOLE: deployment(1, 3, REFUSED)}) == {CANARY}, "not begun"


def test_what_is_said_of_a_paused_service_counts_no_replica_of_a_canary() -> None:
    """Of the same pods as status.selector."""
    pods = (*seen(None).pods, replica("a", 2))

    told = halted_status({}, 1, Diagnosis("Paused", "it is"), pods, NOW)

    assert (told["replicas"], told["readyReplicas"]) == (3, 3)


@pytest.mark.parametrize(("in_use", "may"), [((0, 0), False), ((0, 1), True), ((0,), True), ((), True)])
def test_replicas_of_a_canary_work_or_may_where_they_do_not_answer(
    in_use: tuple[int, ...], may: bool
) -> None:
    pods = [replica(name, 2, podIP="10.0.0.1") for name in ("a", "b")]
    samples = tuple(ReplicaSample(str(each), at=0.0, slots=10, in_use=each) for each in in_use)

    assert may_work(samples, pods) is may
    assert not may_work((), [])


def test_a_reference_of_the_stable_revision_is_one_of_its_own_kind() -> None:
    found = beside(inputs(), known(kept(2)), frozenset(), NOW)

    assert found is not None
    assert found.lacking[0].reference.kind == CONTROLLER_REVISION
