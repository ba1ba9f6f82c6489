"""A canary takes a larger share step by step, each after its time and enough runs that end well, and goes
when they do not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lgs_crds import LangGraphService, ManifestError, parse
from lgs_crds.status import CanaryStatus, RevisionStatus, Status
from lgs_operator.desired.deployment import canary_deployment, canary_replicas
from lgs_operator.desired.inputs import Inputs, Revision
from lgs_operator.handover import kept_canary
from lgs_operator.kube.kinds import DEPLOYMENT, Key, ServiceKey
from lgs_operator.scaling.outcomes import ReplicaCounts, RunCounts, total
from lgs_operator.settings import Images
from lgs_operator.status.canary import canary_of, stepped, words_of
from lgs_operator.status.health import has_just_failed, healthy, to_go_back_to
from lgs_operator.status.observed import ObservedService
from lgs_operator.status.revisions import revisions
from lgs_operator.status.scaling import ScalingView
from lgs_operator.status.service import as_json, status_of

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
KEY = ServiceKey("team", "support")
CANARY = Key(DEPLOYMENT, "team", "support-canary")


def service(**rollout: Any) -> LangGraphService:
    head = {"apiVersion": "lgs.dev/v1alpha1", "kind": "LangGraphService"}
    metadata = {"name": "support", "namespace": "team", "uid": "u1"}
    usual = {"strategy": "Canary", "steps": [10, 50], "pauseSeconds": 60, "minRuns": 20}
    postgres = {"postgres": {"managed": {}}}
    spec = {"image": "a:1", "persistence": postgres, "rollout": usual | rollout}
    return parse({**head, "metadata": metadata, "spec": spec})


def status(canary: CanaryStatus | None = None, revision: int = 1, **states: str) -> Status:
    told = [RevisionStatus(revision=int(name[1:]), state=state) for name, state in states.items()]  # type: ignore[arg-type]
    return Status(revision=revision, canary=canary, revisions=told)


def at(step: int, percent: int, seconds_ago: float = 0.0, revision: int = 2) -> CanaryStatus:
    since = (NOW - timedelta(seconds=seconds_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return CanaryStatus(revision=revision, step=step, percent=percent, since=since)


def begun(service: LangGraphService, before: Status, released: int = 2, current: int | None = 1) -> Any:
    found = canary_of(service, released, current, before, NOW)
    return None if found is None else (found.revision, found.step, found.percent)


def test_a_new_revision_begins_with_the_smallest_share_beside_one_that_works() -> None:
    fine = status(r1="Ready", r2="Progressing")

    assert begun(service(), fine) == (2, 1, 10)
    assert begun(service(steps=[50, 5, 50]), fine) == (2, 1, 5)
    assert begun(service(), status(at(2, 50), r1="Ready", r2="Ready")) == (2, 2, 50), (
        "it goes on where it was"
    )
    assert begun(service(), status(at(2, 50), r1="Ready"), released=3) == (3, 1, 10), (
        "another one begins anew"
    )


def test_a_revision_runs_whole_at_once_where_nothing_that_works_could_run_beside_it() -> None:
    assert begun(service(), status(), current=None) is None
    assert begun(service(), status(r1="Failed", r2="Progressing")) is None
    assert begun(service(strategy="Rolling"), status(r1="Ready")) is None
    assert begun(service(revision=2), status(r1="Ready", r2="Ready")) is None, "a person asks for it"
    assert begun(service(), status(r1="Ready", r2="Failed")) is None
    assert begun(service(), status(at(3, 100), r1="Ready", r2="Ready")) is None, "it has taken all steps"


def test_fewer_steps_than_it_has_taken_make_a_canary_no_whole() -> None:
    """Who takes them away may want it smaller."""
    known = status(at(3, 50, 3600), r1="Ready", r2="Progressing")
    whole = status(at(3, 100, 3600), r1="Ready", r2="Ready")

    assert begun(service(steps=[5]), known) == (2, 1, 5)
    assert canary_of(service(steps=[5]), 2, 1, known, NOW) == at(1, 5), "it has all of its time"
    assert begun(service(steps=[1, 2, 3, 4]), whole) is None, "it had taken all steps there were"
    assert "becomes the whole" not in words_of(at(3, 50), service(steps=[5]).spec.rollout)


def test_a_step_that_began_by_a_clock_ahead_begins_now() -> None:
    """It would last until that time has come."""
    known = status(at(1, 10, -86400 * 365), r1="Ready", r2="Progressing")

    assert canary_of(service(), 2, 1, known, NOW) == at(1, 10)


def after(canary: CanaryStatus, ended: int, failed: int = 0, *, ready: bool = True) -> tuple[int, int]:
    found = stepped(canary, service().spec.rollout, RunCounts(ended, failed), NOW, ready=ready)
    return found.step, found.percent


def test_a_step_is_taken_after_its_time_and_enough_runs_and_the_one_after_the_last_is_all() -> None:
    assert after(at(1, 10, 59), 500) == (1, 10)
    assert after(at(1, 10, 3600), 19) == (1, 10)
    assert after(at(1, 10, 3600), 500, ready=False) == (1, 10)
    assert after(at(1, 10, 60), 20) == (2, 50)
    assert after(at(2, 50, 60), 20) == (3, 100)


def test_a_step_begins_with_no_runs_and_at_its_own_time() -> None:
    waits = stepped(at(1, 10, 5), service().spec.rollout, RunCounts(7, 1), NOW, ready=True)
    next_one = stepped(at(1, 10, 60), service().spec.rollout, RunCounts(20, 1), NOW, ready=True)

    assert (waits.runs, waits.failed_runs, waits.since) == (7, 1, "2026-01-01T11:59:55Z")
    assert (next_one.runs, next_one.since) == (None, "2026-01-01T12:00:00Z")


def test_a_replica_that_is_still_there_counts_anew_in_the_next_step() -> None:
    known = {"a": ReplicaCounts(RunCounts(30, 3), RunCounts(5, 1)).anew()}

    assert total(known) == RunCounts(0, 0)


def test_a_canary_that_fails_is_gone_back_from_without_being_asked_to_the_one_beside_it() -> None:
    """Though another canary before it had a replica that was ready, and was never the whole."""
    fine = status(at(1, 10, revision=3), r1="Ready", r2="Ready", r3="Ready")
    failed = status(at(1, 10, revision=3), r1="Ready", r2="Ready", r3="Failed")

    assert to_go_back_to(service(), 3, failed) == 1
    assert has_just_failed(service(), fine, failed)
    assert not has_just_failed(service(), failed, failed)


def test_the_condition_says_at_which_step_it_is_and_that_it_becomes_the_whole() -> None:
    known = status(r1="Ready", r2="Ready").revisions
    step = at(1, 10).model_copy(update={"runs": 12, "failed_runs": 3})

    said = [healthy(service(), 1, known, None, each) for each in (step, at(3, 100))]

    assert [each and each.message for each in said] == [
        "revision 2 is a canary with 10 % of the threads, step 1 of 2: 3 of 12 runs failed, 20 are needed",
        "revision 2 was a canary that did well, and becomes the whole",
    ]
    assert {each and (each.status, each.reason) for each in said} == {("Unknown", "Unverified")}


@pytest.mark.parametrize(
    ("replicas", "percent", "wanted"),
    [(3, 10, 1), (3, 50, 3), (9, 10, 1), (10, 20, 3), (100, 1, 2), (0, 50, 0)],
)
def test_a_canary_has_replicas_by_its_share_of_the_load(replicas: int, percent: int, wanted: int) -> None:
    assert canary_replicas(service(), replicas, percent) == wanted


def test_a_canary_with_most_of_the_threads_has_no_more_replicas_than_a_service_may_have() -> None:
    """99 % beside 10 would be 990."""
    auto = service().model_dump(by_alias=True, exclude_unset=True)
    auto["spec"]["scaling"] = {"mode": "Auto", "maxReplicas": 30}
    scaled = parse(auto, on_cluster=True)

    assert [canary_replicas(service(), 10, percent) for percent in (60, 99)] == [10, 10]
    assert [canary_replicas(scaled, 10, percent) for percent in (60, 99)] == [15, 30]
    assert [canary_replicas(scaled, count, 99) for count in (0, 40)] == [0, 40]


def inputs(revision: int = 2, **more: Any) -> Inputs:
    made = Inputs(service(**more), Images(), "abc", None, "", "lgs-system")
    return replace(made, revision=Revision(revision, "support-revision-x", {}))


def test_its_replicas_are_the_services_and_their_deployment_knows_them_by_one_label_more() -> None:
    made = canary_deployment(inputs(), 10, 4)
    template = made["spec"]["template"]
    variables = {each["name"]: each.get("value") for each in template["spec"]["containers"][0]["env"]}

    assert (made["metadata"]["name"], made["spec"]["replicas"]) == ("support-canary", 4)
    assert template["metadata"]["labels"].items() >= made["spec"]["selector"]["matchLabels"].items()
    assert made["spec"]["selector"]["matchLabels"] == {
        "lgs.dev/service": "support",
        "app.kubernetes.io/component": "runtime",
        "lgs.dev/track": "canary",
    }
    assert (variables["LGS_CANARY_PERCENT"], variables["LGS_REVISION"]) == ("10", "2")


def whole(revision: int, updated: int) -> dict[str, Any]:
    """The Deployment of the service, three replicas of which so many are of its template."""
    template = {"metadata": {"labels": {"lgs.dev/revision": str(revision)}}}
    numbers = {"replicas": 3, "updatedReplicas": updated, "readyReplicas": 3, "observedGeneration": 1}
    return {"metadata": {"generation": 1}, "spec": {"replicas": 3, "template": template}, "status": numbers}


def test_a_canary_that_becomes_the_whole_stays_until_all_run_its_revision_and_another_goes_at_once() -> None:
    live = {CANARY: whole(2, 3)}
    service_ = Key(DEPLOYMENT, *KEY)

    assert kept_canary(KEY, inputs(2), live | {service_: whole(1, 3)}) == {CANARY}
    assert kept_canary(KEY, inputs(2), live | {service_: whole(2, 1)}) == {CANARY}
    assert kept_canary(KEY, inputs(2), live | {service_: whole(2, 3)}) == set()
    assert kept_canary(KEY, inputs(1), live | {service_: whole(1, 3)}) == set(), "it was taken back"


def replica(revision: int, **more: str) -> dict[str, Any]:
    """One that takes work."""
    labels = {"lgs.dev/revision": str(revision), **more}
    conditions = [{"type": "Ready", "status": "True"}]
    return {"metadata": {"name": f"r{revision}", "labels": labels}, "status": {"conditions": conditions}}


def states_of(view: ObservedService, before: Status) -> dict[int, str]:
    return {each.revision: each.state for each in revisions(view, before, {}, now=NOW)}


def test_a_canary_has_not_worked_as_a_whole_until_it_was_one() -> None:
    history = tuple({"metadata": {"name": f"r-{n}"}, "revision": n, "data": {"spec": {}}} for n in (1, 2))
    beside = replica(2, **{"lgs.dev/track": "canary"})
    before = status(at(1, 10), r1="Ready", r2="Progressing")
    view = ObservedService(service(), deployment=whole(1, 3), pods=(replica(1),), revisions=history)

    as_canary = replace(view, canary=2, canary_pods=(beside,), released=1)
    late = {"type": "Progressing", "reason": "ProgressDeadlineExceeded"}
    never_ready = {"metadata": {"generation": 1}, "status": {"observedGeneration": 1, "conditions": [late]}}

    assert states_of(as_canary, before) == {1: "Ready", 2: "Progressing"}
    assert states_of(replace(view, canary_pods=(beside,), released=1), before) == {1: "Ready", 2: "Replaced"}
    none_ready = replace(as_canary, canary_deployment=never_ready, canary_pods=())
    assert states_of(none_ready, before) == {1: "Ready", 2: "Failed"}
    assert states_of(replace(view, deployment=whole(2, 1), pods=(replica(2),)), before)[2] == "Ready"


def test_a_canary_of_which_a_replica_works_has_not_failed_though_another_one_finds_no_place() -> None:
    history = tuple({"metadata": {"name": f"r-{n}"}, "revision": n, "data": {"spec": {}}} for n in (1, 2))
    late = {"type": "Progressing", "reason": "ProgressDeadlineExceeded"}
    stuck = {"metadata": {"generation": 1}, "status": {"observedGeneration": 1, "conditions": [late]}}
    view = ObservedService(service(), deployment=whole(1, 3), pods=(replica(1),), revisions=history)
    view = replace(view, canary=2, canary_deployment=stuck, released=1)
    before, track = status(at(1, 10), r1="Ready", r2="Progressing"), {"lgs.dev/track": "canary"}

    assert states_of(replace(view, canary_pods=(replica(2, **track),)), before)[2] == "Progressing"
    assert states_of(replace(view, canary_pods=(replica(3, **track),)), before)[2] == "Failed"


def test_where_the_canary_stands_is_kept_until_all_replicas_are_to_run_it() -> None:
    view = ObservedService(service(), deployment=whole(1, 3), pods=(replica(1),), released=2)

    def stands(view: ObservedService, canary: CanaryStatus) -> int | None:
        before = as_json(status(canary, r1="Ready", r2="Ready"))
        found = status_of(view, ScalingView(), before, NOW).get("canary")
        return None if found is None else int(found["step"])

    assert stands(view, at(3, 100)) == 3, "it would begin anew"
    assert stands(replace(view, deployment=whole(2, 1)), at(3, 100)) is None
    assert stands(replace(view, released=None), at(2, 50)) == 2, "it is not known what is released"
    assert stands(replace(view, released=1), at(2, 50)) is None, "the manifest says the old one again"


def test_no_step_is_taken_by_what_belongs_to_the_step_before() -> None:
    beside = replica(2, **{"lgs.dev/track": "canary"})
    history = tuple({"metadata": {"name": f"r-{n}"}, "revision": n, "data": {"spec": {}}} for n in (1, 2))
    view = ObservedService(service(), deployment=whole(1, 3), pods=(replica(1),), revisions=history)
    view = replace(view, canary=2, canary_pods=(beside,), released=1)
    before = as_json(status(at(2, 50, 3600), r1="Ready", r2="Progressing"))

    def step_after(step: int, *, percent: int = 50, updated: int = 3) -> int:
        made = canary_deployment(inputs(), percent, 3)
        numbers = whole(2, updated)["status"]
        there = made | {"metadata": made["metadata"] | {"generation": 1}, "status": numbers}
        counted = ScalingView(runs={2: RunCounts(500)}, canary_step=step)
        after = status_of(replace(view, canary_deployment=there), counted, before, NOW)
        return int(after["canary"]["step"])

    assert step_after(2) == 3
    assert step_after(1) == 2, "they were counted in the step before"
    assert step_after(2, percent=10) == 2, "its replicas have the share of the step before"
    assert step_after(2, updated=1) == 2, "some of them have"


def test_a_canary_needs_a_database_that_both_revisions_share() -> None:
    head = {"apiVersion": "lgs.dev/v1alpha1", "kind": "LangGraphService", "metadata": {"name": "support"}}
    document = {**head, "spec": {"image": "a:1", "rollout": {"strategy": "Canary"}}}

    with pytest.raises(ManifestError, match=r"spec\.rollout\.strategy: Canary: needs persistence\.postgres"):
        parse(document, on_cluster=True)
