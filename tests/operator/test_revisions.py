"""A service's revisions: what is released again has the number that it had, what decides nothing makes no new
one, and none goes that pods run.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgs_crds import ManifestError, parse
from lgs_crds.status import RevisionStatus, Status
from lgs_operator.commands.rollback import NoWayBack, revision_to_run
from lgs_operator.desired.everything import everything
from lgs_operator.desired.inputs import Inputs, Revision
from lgs_operator.desired.pinned import Pinned, pinned
from lgs_operator.desired.revision import history_of, number_of, numbered, superseded
from lgs_operator.kube.kinds import Manifest, key_of
from lgs_operator.kube.pods import is_ready
from lgs_operator.kube.referenced import MissingReference
from lgs_operator.settings import Images
from lgs_operator.status.observed import ObservedService
from lgs_operator.status.revisions import current_revision, revisions
from support.drawn_manifests import examples

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
STOCK: dict[str, Any] = {"image": None, "source": {"configMap": "code"}}


def inputs(*, copy: str | None = None, stock: str = "stock:1", **spec: Any) -> Inputs:
    service = parse(
        {
            "apiVersion": "lgs.dev/v1alpha1",
            "kind": "LangGraphService",
            "metadata": {"name": "support", "namespace": "team", "uid": "u1"},
            "spec": {"image": "example.com/support:1"} | spec,
        }
    )
    return Inputs(service, replace(Images(), runtime=stock), "abc", None, "", "lgs-system", source_copy=copy)


class Cluster:
    """Keeps the revisions of a service as they are released."""

    def __init__(self) -> None:
        self.history: list[Manifest] = []

    def release(self, **spec: Any) -> int:
        """The number of what is released, which is kept."""
        given = inputs(**spec)
        given = replace(given, revision=numbered(given, self.history))
        wanted = everything(given)
        (kept,) = history_of({key_of(each): each for each in wanted})
        self.history = [each for each in self.history if key_of(each) != key_of(kept)] + [kept]
        deployments = (each for each in wanted if each["kind"] == "Deployment")
        pod = next(each["spec"]["template"] for each in deployments if each["metadata"]["name"] == "support")
        variables = {each["name"]: each.get("value") for each in pod["spec"]["containers"][0]["env"]}
        assert pod["metadata"]["labels"]["lgs.dev/revision"] == variables["LGS_REVISION"]
        assert variables["LGS_REVISION"] == str(number_of(kept))
        return number_of(kept)


def test_each_release_has_the_next_number_and_one_that_comes_again_the_number_that_it_had() -> None:
    cluster = Cluster()
    images = ["a:1", "a:2", "a:3", "a:1", "a:4", "a:2"]

    assert [cluster.release(image=image) for image in images] == [1, 2, 3, 1, 4, 2]


@pytest.mark.parametrize(
    "change",
    [
        {"image": "example.com/support:2"},
        {"graphs": {"agent": "./graph.py:other"}},
        {"pod": {"env": [{"name": "MODEL", "value": "large"}]}},
        {"workers": {"concurrency": 7}},
        {"cache": {"ttlSeconds": 7}},
        {"circuitBreaker": {}},
        {"auth": {"path": "./auth.py:auth"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_runs_makes_a_revision(change: dict[str, Any]) -> None:
    cluster = Cluster()

    assert [cluster.release(), cluster.release(**change)] == [1, 2]


@pytest.mark.parametrize(
    "change",
    [
        {"scaling": {"minReplicas": 2, "maxReplicas": 4}, "persistence": {"postgres": {"managed": {}}}},
        {"topology": "Split", "persistence": {"postgres": {"managed": {}}}},
        {"cache": {"redis": {"managed": {}}}},
        {"network": {"allowFrom": []}},
        {"revisionHistoryLimit": 3},
        {"workers": {"concurrency": 50}},
    ],
    ids=["scaling", "topology", "redis", "network", "history", "a default that is written out"],
)
def test_where_and_how_often_it_runs_makes_none(change: dict[str, Any]) -> None:
    cluster = Cluster()

    assert [cluster.release(), cluster.release(**change)] == [1, 1]


def test_code_and_the_stock_image_make_one_each() -> None:
    cluster = Cluster()

    assert cluster.release(**STOCK, copy="support-source-1") == 1
    assert cluster.release(**STOCK, copy="support-source-2") == 2
    assert cluster.release(**STOCK, copy="support-source-1", stock="stock:2") == 3
    assert cluster.release(**STOCK, copy="support-source-1") == 1


def kept(number: int) -> Manifest:
    return {
        "metadata": {"name": f"support-revision-{number:016x}"},
        "revision": number,
        "data": {"spec": {"image": f"a:{number}"}},
    }


def pod(number: int, *, ready: bool = True) -> Manifest:
    """A replica of a revision."""
    conditions = [{"type": "Ready", "status": str(ready)}]
    labels = {"lgs.dev/revision": str(number)}
    return {"metadata": {"name": f"p{number}", "labels": labels}, "status": {"conditions": conditions}}


def test_the_status_remembers_what_an_image_was_by_digest_also_where_its_tag_was_moved() -> None:
    told = Status()

    def runs(digest: str) -> Manifest:
        status = {"name": "runtime", "imageID": f"example.com/support@sha256:{digest * 64}"}
        return pod(1) | {"status": {"containerStatuses": [status]}}

    for each in (runs("b"), runs("a"), pod(1)):
        told = Status(revision=1, revisions=revisions(seen(1, each, numbers=(1,)), told, {}, now=NOW))

    assert told.revisions[0].image_digests == [f"sha256:{each * 64}" for each in "ba"]


NUMBERS = st.sets(st.integers(1, 12), min_size=1)


@examples(300)
@given(NUMBERS, st.data())
def test_none_goes_that_is_current_that_a_pod_runs_or_whose_number_could_be_given_again(
    numbers: set[int], data: st.DataObject
) -> None:
    current = data.draw(st.sampled_from(sorted(numbers)))
    run = data.draw(st.sets(st.sampled_from(sorted(numbers))))
    limit = data.draw(st.integers(0, 12))
    revision = Revision(current, "", {})

    history = [kept(each) for each in numbers]
    gone = {number_of(each) for each in superseded(history, revision, map(pod, run), limit)}

    assert not gone & {current, max(numbers), *run}
    stay = sorted(numbers - {current}, reverse=True)[:limit]
    assert numbers - gone == {current, max(numbers), *run, *stay}


def seen(current: int, *pods: Manifest, late: bool = False, numbers: tuple[int, ...]) -> ObservedService:
    """A service with these revisions. `late`: nothing came closer to what is wanted for too long."""
    reason = "ProgressDeadlineExceeded" if late else "ReplicaSetUpdated"
    deployment = {
        "metadata": {"generation": 1},
        "spec": {"template": {"metadata": {"labels": {"lgs.dev/revision": str(current)}}}},
        "status": {
            "observedGeneration": 1,
            "readyReplicas": sum(map(is_ready, pods)),
            "conditions": [{"type": "Progressing", "reason": reason}],
        },
    }
    history = tuple(kept(each) for each in numbers)
    return ObservedService(inputs().service, deployment=deployment, pods=pods, revisions=history)


def test_the_status_remembers_what_became_of_each_revision() -> None:
    told = Status()
    story = [
        (seen(1, pod(1, ready=False), numbers=(1,)), {1: "Progressing"}),
        (seen(1, pod(1), numbers=(1,)), {1: "Ready"}),
        (seen(2, pod(1), pod(2, ready=False), numbers=(1, 2)), {2: "Progressing", 1: "Ready"}),
        (seen(2, pod(1), late=True, numbers=(1, 2)), {2: "Failed", 1: "Ready"}),
        (seen(3, pod(1), numbers=(1, 2, 3)), {3: "Progressing", 2: "Failed", 1: "Ready"}),
        (seen(1, pod(1), numbers=(1, 2, 3)), {3: "Replaced", 2: "Failed", 1: "Ready"}),
        (seen(3, pod(1), pod(3), numbers=(1, 2, 3)), {3: "Ready", 2: "Failed", 1: "Ready"}),
        (seen(3, numbers=(1, 2, 3)), {3: "Ready", 2: "Failed", 1: "Ready"}),
    ]
    for view, states in story:
        now = revisions(view, told, {}, now=NOW)
        told = Status(revision=current_revision(view.deployment), revisions=now)

        assert {each.revision: each.state for each in now} == states
        assert [each.revision for each in now] == sorted(states, reverse=True)

    assert told.revisions[0] == RevisionStatus(
        revision=3, digest="0000000000000003", state="Ready", image="a:3"
    )


def of_states(current: int | None, **states: str) -> dict[str, Any]:
    """A status with these revisions."""
    told = [{"revision": int(name[1:]), "state": state} for name, state in states.items()]
    return {"revision": current, "revisions": sorted(told, key=lambda each: -each["revision"])}


def test_one_goes_back_to_the_last_revision_before_that_worked() -> None:
    status = of_states(5, r1="Ready", r2="Ready", r3="Failed", r4="Replaced", r5="Progressing", r6="Ready")

    assert revision_to_run("support", status, None) == 2
    assert revision_to_run("support", status | {"revision": 2}, None) == 1
    assert [revision_to_run("support", status, number) for number in (3, 6)] == [3, 6]


def test_one_goes_back_from_a_canary_to_the_revision_beside_it() -> None:
    """Which works, and runs the rest: an older one would replace all replicas."""
    canary = {"revision": 3, "step": 1, "percent": 10, "since": "2026-01-01T12:00:00Z"}
    status = of_states(2, r1="Ready", r2="Ready", r3="Progressing") | {"canary": canary}
    again = of_states(5, r3="Progressing", r4="Ready", r5="Ready") | {"canary": canary}

    assert revision_to_run("support", status, None) == 2
    assert revision_to_run("support", again, None) == 5, "the canary is one that was released before"


@pytest.mark.parametrize("number", [0, -1, -(2**63), 2**63 - 1, True, "7", None])
def test_nor_is_one_whose_number_no_release_got(number: Any) -> None:
    """After 2**63 - 1 there is no next one: the API server refused all releases that followed."""
    cluster = Cluster()
    cluster.release()
    (ours,) = cluster.history
    forged = ours | {"metadata": ours["metadata"] | {"name": "forged"}, "revision": number}

    assert history_of({key_of(each): each for each in (forged, ours)}) == [ours]


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"spec": [3]},
        {"spec": {}, "source": {"a": [1]}},
        {"spec": {"image": 5}},
        {"spec": {}, "stockImage": ["i"]},
        {"a\ufffd": 1},
    ],
)
def test_what_only_looks_like_a_revision_is_none(data: dict[str, Any]) -> None:
    """Whoever may write ControllerRevisions may give one any labels: the work on its service ended by it."""
    cluster = Cluster()
    cluster.release()
    (ours,) = cluster.history
    forged = ours | {"metadata": ours["metadata"] | {"name": "forged"}, "data": data}

    assert history_of({key_of(each): each for each in (forged, ours)}) == [ours]


@pytest.mark.parametrize(
    ("status", "to", "words"),
    [
        ({}, None, "no revision before the first one was ready; those that are kept: none"),
        ({}, 3, "revision 3 is not kept; those that are: none"),
        (
            of_states(2, r1="Failed", r2="Progressing"),
            None,
            "no revision before revision 2 was ready; those that are kept: 2 (Progressing), 1 (Failed)",
        ),
    ],
)
def test_where_there_is_no_way_back_one_is_told_which_revisions_there_are(
    status: dict[str, Any], to: int | None, words: str
) -> None:
    with pytest.raises(NoWayBack, match=re.escape(f"support: {words}")):
        revision_to_run("support", status, to)


def document(cluster: Cluster, number: int, **spec: Any) -> Any:
    """What the service runs that is pinned to this revision, and says this beside."""
    manifest = {
        "apiVersion": "lgs.dev/v1alpha1",
        "kind": "LangGraphService",
        "metadata": {"name": "support", "namespace": "team", "uid": "u1"},
        "spec": {"image": "example.com/support:1", "rollout": {"revision": number}} | spec,
    }
    return pinned(manifest, parse(manifest), cluster.history)


def test_a_pinned_service_runs_what_its_revision_keeps_where_its_manifest_says() -> None:
    cluster = Cluster()
    first = {"image": "a:1", "workers": {"concurrency": 7}, "cache": {"ttlSeconds": 9}}
    cluster.release(**first, pod={"env": [{"name": "MODEL", "value": "small"}]})
    cluster.release(image="a:2")
    redis = {"redis": {"managed": {}}}

    found = document(cluster, 1, image="a:3", cache=redis | {"ttlSeconds": 10}, network={"allowFrom": []})

    assert isinstance(found, Pinned)
    spec = found.service.spec
    assert (spec.image, spec.workers.concurrency, spec.cache.ttl_seconds) == ("a:1", 7, 9)
    assert [each.value for each in spec.pod.env] == ["small"]
    assert spec.cache.redis is not None
    assert spec.network.allow_from == []


@examples(100)
@given(st.lists(st.sampled_from(["a:1", "a:2", "c1", "c2"]), min_size=1, max_size=6), st.data())
def test_who_goes_back_to_a_revision_has_its_number_again(releases: list[str], data: st.DataObject) -> None:
    cluster = Cluster()
    numbers = [
        cluster.release(**STOCK, copy=f"support-source-{each}")
        if each.startswith("c")
        else cluster.release(image=each)
        for each in releases
    ]
    back = data.draw(st.sampled_from(numbers))

    found = document(cluster, back)

    assert isinstance(found, Pinned)
    source = found.service.spec.source
    given = replace(
        inputs(stock=found.stock_image or "stock:2"),
        service=found.service,
        source_copy=source.config_map if source else None,
    )
    assert numbered(given, cluster.history).number == back


def test_a_service_goes_back_to_what_a_revision_ran_whatever_version_its_manifest_keeps() -> None:
    cluster = Cluster()
    cluster.release(image="a:1")
    cluster.release(**STOCK, copy="code-1", stock="stock:2")

    one = document(cluster, 1, **STOCK, runtimeVersion="3")
    two = document(cluster, 2, **STOCK, runtimeVersion="3")

    assert isinstance(one, Pinned)
    assert isinstance(two, Pinned)
    assert (one.service.spec.image, two.stock_image) == ("a:1", "stock:2")


def test_a_pin_to_a_revision_that_is_not_kept_names_those_that_are() -> None:
    cluster = Cluster()
    cluster.release(image="a:1")
    cluster.release(image="a:2")

    found = document(cluster, 7)

    assert isinstance(found, MissingReference)
    assert found.reason == "RevisionNotFound"
    assert found.message == (
        "spec.rollout.revision: 7: there is no such revision any more; those that are kept: 1, 2"
    )


def test_what_a_revision_keeps_and_the_manifest_can_not_have_together_is_told() -> None:
    cluster = Cluster()
    cluster.release(image="a:1", cache={"answers": {"agent": {}}}, graphs={"agent": "./a.py:graph"})
    (kept_one,) = cluster.history
    kept_one["data"]["spec"]["graphs"] = {"other": "./a.py:graph"}

    with pytest.raises(ManifestError, match="revision 1"):
        document(cluster, 1)
