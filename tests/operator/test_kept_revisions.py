"""An old revision is kept as long as something is pinned to it, within the bounds of the manifest, with as
many replicas as its runs need."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lgs_crds import LangGraphService, ManifestError, parse
from lgs_crds.status import PinnedStatus, RevisionStatus, Status
from lgs_operator.desired.deployment import deployment, kept_deployment
from lgs_operator.desired.inputs import Inputs, Revision
from lgs_operator.desired.kept import kept_deployments, kept_name, kept_replicas
from lgs_operator.desired.service import service as front
from lgs_operator.handover import leads_to_marked
from lgs_operator.kept_revisions import Ending, Kept, Running, kept_now, words_of
from lgs_operator.kube.kinds import DEPLOYMENT, SERVICE, Key, ServiceKey
from lgs_operator.settings import Images
from lgs_operator.status.kept import pinned_status
from lgs_operator.status.observed import ObservedService
from lgs_operator.status.revisions import revisions
from lgs_operator.status.scaling import ScalingView

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)
KEY = ServiceKey("team", "support")


def service(spec: dict[str, Any] | None = None, **rollout: Any) -> LangGraphService:
    head = {"apiVersion": "lgs.dev/v1alpha1", "kind": "LangGraphService"}
    metadata = {"name": "support", "namespace": "team", "uid": "u1"}
    usual = {"image": "a:1", "persistence": {"postgres": {"managed": {}}}}
    strategy = {"rollout": {"strategy": "Pinned"} | rollout}
    return parse({**head, "metadata": metadata, "spec": usual | strategy | (spec or {})})


def ago(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def there(**ages: float) -> dict[int, Any]:
    """Deployments of kept revisions that are so many seconds old, as r1=60."""
    return {
        int(name[1:]): {"metadata": {"creationTimestamp": ago(age)}, "spec": {"replicas": 1}}
        for name, age in ages.items()
    }


def told(number: int, threads: int = 1, runs: int = 0, idle: float | None = None) -> PinnedStatus:
    since = None if idle is None else ago(idle)
    return PinnedStatus(
        revision=number, replicas=1, ready_replicas=1, threads=threads, runs=runs, idle_since=since
    )


def status(*pinned: PinnedStatus, **states: str) -> Status:
    revisions = [
        RevisionStatus(revision=int(name[1:]), state=state, pins=True)  # type: ignore[arg-type]
        for name, state in states.items()
    ]
    return Status(revisions=revisions, pinned=list(pinned) or None)


def kept(
    released: int, current: int | None, deployments: dict[int, Any], before: Status, **rollout: Any
) -> Kept:
    return kept_now(service(**rollout), Running(released, current, deployments), before, NOW)


def test_what_worked_is_kept_when_another_revision_takes_its_place() -> None:
    assert kept(2, 1, {}, status(r1="Ready", r2="Progressing")) == Kept((1,))
    assert kept(1, 1, {}, status(r1="Ready")) == Kept(), "it is no old one"
    assert kept(1, None, {}, status()) == Kept(), "a new service"
    assert kept(2, 1, {}, status(r1="Progressing")) == Kept(), "it has begun nothing"


def test_replicas_of_a_runtime_without_pins_are_not_kept_as_they_would_take_everything() -> None:
    before = Status(revisions=[RevisionStatus(revision=1, state="Ready")])

    assert kept(2, 1, {}, before) == Kept()


def test_it_is_remembered_that_the_replicas_of_a_revision_pin() -> None:
    revision = {"metadata": {"name": "support-revision-1f"}, "revision": 1, "data": {"spec": {}}}
    seen = ObservedService(service(), revisions=(revision,))

    (first,) = revisions(seen, Status(), {}, pinning={1: (0, 0)}, now=NOW)
    (later,) = revisions(seen, Status(revisions=[first]), {}, now=NOW)
    (other,) = revisions(seen, Status(), {}, pinning={2: (0, 0)}, now=NOW)

    assert (first.pins, later.pins, other.pins) == (True, True, None)


def test_it_stays_while_something_is_pinned_to_it_and_ends_a_while_after_nothing_is() -> None:
    assert kept(2, 2, there(r1=3600), status(told(1))) == Kept((1,))
    assert kept(2, 2, there(r1=3600), status()) == Kept((1,)), "nobody has counted"
    assert kept(2, 2, there(r1=3600), status(told(1, 0, idle=29))) == Kept((1,))
    idle = told(1, 0, idle=31)
    assert kept(2, 2, there(r1=3600), status(idle)) == Kept((), (Ending(1, "idle", idle),))
    assert kept(2, 2, there(r1=5), status(idle)) == Kept((1,)), "that was said of one before it"


def test_it_ends_when_it_has_been_kept_for_long_enough() -> None:
    assert kept(2, 2, there(r1=3599), status(told(1)), pinnedSeconds=3600) == Kept((1,))
    found = kept(2, 2, there(r1=3600), status(told(1)), pinnedSeconds=3600)
    assert found == Kept((), (Ending(1, "too old", told(1)),))


def test_of_too_many_the_oldest_end() -> None:
    before = status(told(1), told(2), r3="Ready")
    found = kept(4, 3, there(r1=900, r2=600), before, pinnedRevisions=2)

    assert found == Kept((3, 2), (Ending(1, "too many", told(1)),))


def test_a_revision_that_became_an_old_one_last_is_the_newest_whatever_its_number() -> None:
    """One that was released again keeps the number that it had."""
    assert kept(9, 9, there(r3=60, r8=7200), status(), pinnedRevisions=1).numbers == (3,)


def test_what_is_released_again_is_no_old_revision_any_more() -> None:
    assert kept(1, 2, there(r1=60), status(told(1), r1="Ready", r2="Ready")) == Kept((2,))


def test_what_is_withdrawn_is_not_kept() -> None:
    assert kept(1, 2, {}, status(r1="Ready", r2="Failed")) == Kept(), "it failed"
    assert kept(1, 2, {}, status(r1="Ready", r2="Ready"), revision=1) == Kept(), "somebody goes back"
    found = kept(2, 3, there(r1=60), status(told(1), r2="Ready", r3="Ready"), revision=2)
    assert found == Kept((1,)), "that one is older than what is gone back to"


def test_another_strategy_keeps_nothing() -> None:
    found = kept(2, 2, there(r1=60), status(told(1)), strategy="Rolling")
    assert found == Kept((), (Ending(1, "not pinned", told(1)),))
    assert kept(2, 1, {}, status(r1="Ready"), strategy="Rolling") == Kept()


@pytest.mark.parametrize(
    ("runs", "has", "whole", "wanted"),
    [
        (None, None, 4, 1),
        (0, None, 4, 1),
        (10, 1, 4, 1),
        (11, 1, 4, 2),
        (400, 1, 4, 4),
        (400, 1, 0, 1),
        (25, 4, 4, 4),
        (20, 4, 4, 2),
        (0, 4, 4, 1),
        (None, 3, 4, 3),
        (None, 3, 2, 2),
    ],
    ids=[
        "not counted",
        "threads wait",
        "full",
        "more",
        "no more than the whole has",
        "at least one",
        "no fewer for a few runs less",
        "half of them",
        "all runs ended",
        "it stays while nobody counts",
        "not beyond the whole",
    ],
)
def test_it_has_the_replicas_that_its_runs_need(
    runs: int | None, has: int | None, whole: int, wanted: int
) -> None:
    of = service({"workers": {"concurrency": 10}, "scaling": {"mode": "Manual"}})
    deployment = None if has is None else {"spec": {"replicas": has}}
    known = None if runs is None else told(1, 1, runs)

    assert kept_replicas(of, deployment, known, whole) == wanted


def test_the_scaling_law_lets_it_have_as_many_as_the_service_may_have() -> None:
    scaling = {"mode": "Auto", "maxReplicas": 8}
    of = service({"workers": {"concurrency": 10}, "scaling": scaling})

    assert kept_replicas(of, None, told(1, 0, 500), 2) == 8


def test_its_replicas_take_what_is_pinned_alone_whatever_the_manifest_says() -> None:
    env = {"pod": {"env": [{"name": "LGS_PINNING", "value": "open"}]}}
    inputs = Inputs(
        service(env), Images(), "c", None, "", "lgs", revision=Revision(7, "support-revision-abc", {})
    )

    made = kept_deployment(inputs, kept_name("support", 7), 3)

    assert made["metadata"]["name"] == "support-pinned-7"
    assert made["spec"]["replicas"] == 3
    labels = made["spec"]["template"]["metadata"]["labels"]
    assert labels["lgs.dev/track"] == "pinned" and labels["lgs.dev/revision"] == "7"
    assert made["spec"]["selector"]["matchLabels"].items() <= labels.items()
    variables = made["spec"]["template"]["spec"]["containers"][0]["env"]
    assert [each["value"] for each in variables if each["name"] == "LGS_PINNING"] == ["closed"]


def pod(*, marked: bool, **metadata: Any) -> dict[str, Any]:
    labels = {"lgs.dev/answers": "true"} if marked else {}
    return {"metadata": {"name": "a", "labels": labels, **metadata}}


def leads(pods: list[dict[str, Any]], live: dict[Key, Any] | None = None, **spec: Any) -> bool:
    inputs = Inputs(service(spec), Images(), "c", None, "", "lgs")
    return leads_to_marked(KEY, inputs, live or {}, pods)


def test_requests_come_to_the_services_own_replicas_alone_once_all_of_these_are_marked() -> None:
    own = Inputs(service(), Images(), "c", None, "", "lgs", revision=Revision(7, "support-revision-abc", {}))
    old = kept_deployment(own, kept_name("support", 7), 1)

    labels = [each["spec"]["template"]["metadata"]["labels"] for each in (deployment(own), old)]
    selectors = [front(replace(own, leads_to_marked=each))["spec"]["selector"] for each in (False, True)]

    assert [selectors[1].items() <= each.items() for each in labels] == [True, False]
    assert [selectors[0].items() <= each.items() for each in labels] == [True, True]


def test_the_service_leads_to_no_marked_replicas_while_others_answer() -> None:
    """They would get no requests from one moment to the next."""
    selected = {Key(SERVICE, "team", "support"): {"spec": {"selector": {"lgs.dev/answers": "true"}}}}

    assert not leads([pod(marked=True), pod(marked=False)])
    assert not leads([]), "nobody would answer"
    assert leads([pod(marked=True), pod(marked=False, deletionTimestamp="2026-01-01T00:00:00Z")])
    assert leads([], selected), "it stays so"
    assert not leads([pod(marked=True)], selected, topology="Split"), "others answer"
    assert not leads([pod(marked=True)], selected, rollout={"strategy": "Rolling"})


def test_only_deployments_of_that_name_are_those_of_kept_revisions() -> None:
    names = ("support-pinned-7", "support-pinned-07", "support-pinned-0", "support-pinned-x", "support")
    live = {Key(DEPLOYMENT, "team", name): {"name": name} for name in (*names, "support-pinned-99999999999")}

    assert kept_deployments(KEY, live) == {7: {"name": "support-pinned-7"}}


def view(number: int, own: int) -> ObservedService:
    """A kept revision, beside pods of the service's own that run `own`."""
    labels = {"lgs.dev/revision": str(own)}
    deployment = {"metadata": {"creationTimestamp": ago(60)}, "spec": {"replicas": 2}}
    return ObservedService(
        service(), pods=({"metadata": {"name": "a", "labels": labels}},), kept={number: deployment}
    )


def idle_since(own: int, before: Status, pinned: dict[int, tuple[int, int]] | None) -> str | None:
    (found,) = pinned_status(view(1, own), ScalingView(pinned=pinned), before, NOW) or ()
    return found.idle_since


def test_nothing_is_pinned_to_it_only_when_that_was_counted_and_nothing_can_be_pinned_any_more() -> None:
    assert idle_since(2, status(), {2: (1, 1)}) == ago(0)
    assert idle_since(2, status(told(1, 0, idle=20)), {}) == ago(20), "since the first time"
    assert idle_since(2, status(told(1, 0, idle=20)), {1: (0, 1)}) is None
    assert idle_since(1, status(told(1, 0, idle=20)), {}) is None, "replicas of it are still open to threads"
    assert idle_since(2, status(), None) is None, "nobody has counted"
    assert idle_since(2, status(told(1, 0, idle=20)), None) == ago(20), "nobody counts now"


def test_counts_stand_as_long_as_nobody_tells() -> None:
    (found,) = pinned_status(view(1, 2), ScalingView(), status(told(1, 5, 3)), NOW) or ()
    assert (found.threads, found.runs, found.replicas, found.since) == (5, 3, 2, ago(60))
    assert pinned_status(ObservedService(service()), ScalingView(), status(told(1)), NOW) is None


def test_an_event_says_how_much_moves_and_where_to() -> None:
    rollout = service(pinnedSeconds=3600).spec.rollout
    moves, idle = Ending(7, "too old", told(7, 12, 3)), Ending(7, "idle", told(7, 0))

    assert words_of(moves, rollout, 9) == (
        "the replicas of revision 7 end: it has been kept for spec.rollout.pinnedSeconds (3600 s); "
        "12 threads and 3 runs that are pinned to it go on with revision 9"
    )
    assert words_of(idle, rollout, 9) == "the replicas of revision 7 end: nothing is pinned to it any more"
    assert moves.moves and not idle.moves


def test_a_service_without_a_shared_database_can_pin_nothing() -> None:
    with pytest.raises(ManifestError) as refused:
        parse(
            {
                "apiVersion": "lgs.dev/v1alpha1",
                "kind": "LangGraphService",
                "metadata": {"name": "support"},
                "spec": {"image": "a:1", "rollout": {"strategy": "Pinned"}},
            },
            on_cluster=True,
        )
    assert "spec.rollout.strategy: Pinned: needs persistence.postgres" in str(refused.value)
