"""Whether a Cluster of CloudNativePG takes commits, by the status that its operator writes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgs_crds import LangGraphService, parse
from lgs_operator.cloud_native_pg import CloudNativePG
from lgs_operator.context import Context
from lgs_operator.inspection import Inspector
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import Manifest, ServiceKey
from lgs_operator.status.cloud_native_pg import FENCING, cluster_problem, not_serving
from lgs_operator.status.diagnosis import Diagnosis
from lgs_operator.status.restore import RestoreView

HEALTHY = "Cluster in healthy state"
REQUIRED = {"synchronous": {"method": "any", "number": 1}}
"""Without `dataDurability`, which is `required` then."""


def cluster(
    *healthy: str,
    primary: str | None = "main-1",
    target: str | None = "main-1",
    phase: str = HEALTHY,
    conditions: tuple[dict[str, str], ...] = (),
    annotations: dict[str, str] | None = None,
    **spec: Any,
) -> Manifest:
    """A Cluster whose instances of these names are ready, as CloudNativePG writes it: what is empty is left
    out."""
    ready = {"type": "Ready", "status": "True" if phase == HEALTHY else "False"}
    status: Manifest = {"phase": phase, "conditions": [ready, *conditions], "targetPrimary": target}
    if healthy:
        status |= {"readyInstances": len(healthy), "instancesStatus": {"healthy": [*healthy]}}
    if primary is not None:
        status["currentPrimary"] = primary
    metadata = {"name": "main", "namespace": "team", "annotations": annotations or {}}
    return {"metadata": metadata, "spec": {"instances": 3} | spec, "status": status}


def kept_from(seen: Manifest | None) -> Diagnosis | None:
    return not_serving("main", "team", seen)


def told(seen: Manifest | None, *, lacks_secret: bool = False) -> Diagnosis:
    found = cluster_problem("main", "team", seen, lacks_secret=lacks_secret)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "seen",
    [
        cluster("main-1", "main-2", "main-3"),
        cluster("main-1", phase="Creating a new replica"),
        cluster("main-1", "main-2", phase="Upgrading cluster", postgresql=REQUIRED),
        cluster("main-1", postgresql={"synchronous": {"number": 1, "dataDurability": "preferred"}}),
        cluster("main-1", postgresql={"synchronous": {"number": 1, "standbyNamesPre": ["far"]}}),
        cluster("main-1", minSyncReplicas=1, maxSyncReplicas=2),
        cluster("main-1", replica={"enabled": False, "source": "old"}),
        cluster("main-1", replica={"primary": "main", "source": "old"}),
        cluster("main-1", annotations={"cnpg.io/hibernation": "on"}),
        cluster("main-1", managed={"services": {"disabledDefaultServices": ["ro", "r"]}}),
    ],
    ids=["whole", "degraded", "a standby", "preferred", "standbys elsewhere", "min sync", "promoted",
         "the primary of several", "hibernation not begun", "services"],
)  # fmt: skip
def test_replicas_start_on_a_cluster_whose_primary_takes_commits_whatever_else_it_lacks(
    seen: Manifest,
) -> None:
    assert kept_from(seen) is None


@pytest.mark.parametrize(
    ("seen", "reason", "words"),
    [
        (None, "ClusterNotFound", "there is no Cluster"),
        ({"metadata": {"name": "main"}, "spec": {}}, "ClusterNotReady", "has no status yet"),
        (
            cluster(primary=None, phase="Setting up primary"),
            "ClusterNotReady",
            "Setting up primary; 0 of 3 instances are ready",
        ),
        (cluster(phase="Setting up primary"), "ClusterNotReady", "Setting up primary"),
        (cluster("main-2", "main-3", phase="Failing over"), "ClusterNotReady", "Failing over"),
        (cluster("main-2", target="pending", phase="Failing over"), "ClusterNotReady", "Failing over"),
        (
            cluster("main-1", "main-2", target="main-2", phase="Switchover in progress"),
            "ClusterNotReady",
            "Switchover in progress",
        ),
        (
            cluster("main-1", phase="Promoting to primary cluster", replica={"enabled": False}),
            "ClusterNotReady",
            "Promoting",
        ),
        (
            cluster("main-1", phase="Creating a new replica", postgresql=REQUIRED),
            "ClusterNotReady",
            "1 of 3 instances are ready, and a commit waits for 1 besides the primary",
        ),
        (cluster("main-1", replica={"enabled": True, "source": "old"}), "ClusterReadOnly", "promote it"),
        (cluster("main-1", replica={"primary": "old", "source": "old"}), "ClusterReadOnly", "spec.replica"),
        (
            cluster("main-1", replica={"self": "here", "primary": "main", "source": "old"}),
            "ClusterReadOnly",
            "spec.replica",
        ),
    ],
)
def test_no_replica_starts_on_one_that_takes_no_commits_and_it_is_said_in_the_clusters_words(
    seen: Manifest | None, reason: str, words: str
) -> None:
    found = kept_from(seen)

    assert found is not None
    assert found.reason == reason
    assert words in found.message
    assert told(seen) == found


def test_a_cluster_that_hibernates_is_told_so_though_its_phase_is_that_of_a_healthy_one() -> None:
    asked = {"annotations": {"cnpg.io/hibernation": "on"}}
    going = {"type": "cnpg.io/hibernation", "status": "False", "message": "Hibernation is in progress"}
    gone = {"type": "cnpg.io/hibernation", "status": "True", "message": "Cluster has been hibernated"}

    begun = told(cluster("main-1", "main-2", conditions=(going,), **asked))
    asleep = told(cluster(conditions=(gone,), **asked))

    assert begun.reason == asleep.reason == "ClusterHibernated"
    assert "Hibernation is in progress" in begun.message
    assert "Cluster has been hibernated" in asleep.message
    assert "kubectl annotate cluster.postgresql.cnpg.io main cnpg.io/hibernation-" in asleep.message
    assert told(cluster(conditions=(gone,))).reason == "ClusterNotReady", "it wakes"


def test_a_cluster_that_is_deleted_is_waited_for_no_more_than_its_end() -> None:
    going = cluster("main-1")
    going["metadata"]["deletionTimestamp"] = "2026-11-29T03:00:00Z"

    assert "it is being deleted" in told(going).message


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (cluster("main-2", annotations={FENCING: '["main-1"]'}), "is not: it is fenced (cnpg.io/fenced"),
        (cluster(annotations={FENCING: '["*"]'}), "its primary main-1 is not: it is fenced"),
        (cluster("main-2", annotations={FENCING: '["main-2"]'}), "its primary main-1 is not"),
        (
            cluster("main-1", "main-2", target="pending"),
            "another one is to be the primary in place of main-1",
        ),
        (cluster(primary=None, target=None), "none is its primary yet"),
    ],
    ids=["fenced", "all fenced", "not ready", "failing over", "none"],
)
def test_what_its_primary_lacks_is_told_where_the_phase_is_that_of_a_healthy_cluster(
    seen: Manifest, words: str
) -> None:
    found = told(seen)

    assert found.reason == "ClusterNotReady"
    assert f"{HEALTHY}; " in found.message
    assert words in found.message
    assert ("fenced" in words) == ("fenced" in found.message)


def test_a_degraded_cluster_explains_a_service_without_a_replica_and_keeps_none_from_starting() -> None:
    degraded = cluster("main-1", phase="Waiting for the instances to become active")

    assert kept_from(degraded) is None
    assert "become active; 1 of 3" in told(degraded).message


@pytest.mark.parametrize("method", ["recovery", "pg_basebackup", "initdb"])
def test_a_secret_that_cloud_native_pg_will_never_make_is_told_with_the_way_out(method: str) -> None:
    own = cluster("main-1", bootstrap={method: {"secret": {"name": "hushed"}}})
    same = cluster("main-1", bootstrap={method: {"secret": {"name": "main-app"}}})

    found = told(own, lacks_secret=True)

    assert found.reason == "SecretNotFound"
    assert f"spec.bootstrap.{method}.secret" in found.message
    assert "makes no Secret main-app" in found.message
    assert "uriSecret" in found.message
    assert "hushed" not in found.message, "who writes a manifest need not be one who reads Clusters"
    assert kept_from(own) is None
    assert cluster_problem("main", "team", same, lacks_secret=True) is None


def test_an_import_of_all_databases_makes_no_secret_and_one_of_a_single_database_does() -> None:
    whole = cluster("main-1", bootstrap={"initdb": {"import": {"type": "monolith"}}})
    one = cluster(
        primary=None,
        phase="Setting up primary",
        bootstrap={"initdb": {"database": "app", "import": {"type": "microservice"}}},
    )

    assert "monolith" in told(whole, lacks_secret=True).message
    assert told(one, lacks_secret=True).reason == "ClusterNotReady"


INSTANCES = st.lists(st.sampled_from(["main-1", "main-2", "main-3"]), unique=True)


@given(
    healthy=INSTANCES,
    primary=st.sampled_from([None, "main-1", "main-2", "main-3"]),
    target=st.sampled_from([None, "main-1", "main-2", "pending"]),
    number=st.integers(0, 3),
    durability=st.sampled_from([None, "required", "preferred"]),
    phase=st.sampled_from([HEALTHY, "Failing over", "Creating a new replica"]),
)
def test_replicas_start_exactly_where_a_commit_is_answered(
    healthy: list[str],
    primary: str | None,
    target: str | None,
    number: int,
    durability: str | None,
    phase: str,
) -> None:
    synchronous = {"synchronous": {"number": number, "dataDurability": durability}}
    seen = cluster(*healthy, primary=primary, target=target, phase=phase, postgresql=synchronous)

    answers = primary is not None and primary == target and primary in healthy
    standbys = len(healthy) - 1
    answers = answers and (durability == "preferred" or standbys >= number)
    assert (kept_from(seen) is None) == answers


KEY = ServiceKey("team", "support")


def replica(secret: str, *, ready: bool = True) -> Manifest:
    """A pod whose database is that of a Secret."""
    reference = {"secretKeyRef": {"name": secret, "key": "uri"}}
    env = [{"name": "A", "value": "main-app"}, {"name": "DATABASE_URI", "valueFrom": reference}]
    status = {"conditions": [{"type": "Ready", "status": str(ready)}]}
    containers = [{"name": "sidecar"}, {"name": "runtime", "env": env}]
    return {"metadata": {"name": "p"}, "spec": {"containers": containers}, "status": status}


def on_main(**postgres: Any) -> LangGraphService:
    """A service on the Cluster main, or on another database."""
    by_reference = {"cloudNativePG": {"cluster": "main"}}
    spec = {"image": "example.com/a:1", "persistence": {"postgres": postgres or by_reference}}
    head = {"apiVersion": "lgs.dev/v1alpha1", "kind": "LangGraphService"}
    return parse(head | {"metadata": {"name": "support", "namespace": "team"}, "spec": spec})


async def awaited(answer: Manifest | KubeError | None, *pods: Manifest, **postgres: Any) -> str | None:
    """The reason for which no pods are made now, by what the API server answers of the Cluster."""

    async def get(*_: Any) -> Manifest | None:
        if isinstance(answer, KubeError):
            raise answer
        return answer

    service = on_main(**postgres)
    state = SimpleNamespace(pods=lambda _, component: pods if component == "api" else ())
    context = cast(Context, SimpleNamespace(cluster=SimpleNamespace(get=get), state=state))
    found = await CloudNativePG(context).awaited(KEY, service)
    return None if found is None else found.reason


async def test_a_replica_that_takes_work_on_that_very_cluster_says_more_than_its_status() -> None:
    stale = cluster("main-2", phase="Failing over")

    assert await awaited(stale, replica("main-app")) is None
    assert await awaited(stale, replica("main-app", ready=False)) == "ClusterNotReady"
    assert await awaited(stale, replica("old-app")) == "ClusterNotReady", "its database is another one"


async def test_a_cluster_that_pods_wait_for_is_not_read_again_to_say_so() -> None:
    asked = 0

    async def get(*_: Any) -> None:
        nonlocal asked
        asked += 1

    referenced = SimpleNamespace(names=lambda _: frozenset())
    state = SimpleNamespace(pods=lambda *_: (), owned=lambda _: {}, referenced=referenced)
    context = cast(Context, SimpleNamespace(cluster=SimpleNamespace(get=get), state=state, http=None))
    waits = Diagnosis("ClusterNotReady", "Cluster main: Setting up primary")

    told, read = [
        await Inspector(context).observe(KEY, on_main(), (), None, RestoreView(), awaited=each)
        for each in (waits, None)
    ]

    assert (told.cluster, told.awaited) == (waits, waits)
    assert read.cluster is not None
    assert read.cluster.reason == "ClusterNotFound"
    assert asked == 1


async def test_a_cluster_that_may_not_be_read_keeps_nothing_and_one_that_can_not_be_is_waited_for() -> None:
    assert await awaited(KubeError(403, "Forbidden", "no")) is None
    assert await awaited(KubeError(500, "InternalError", "a webhook")) == "ClusterNotReady"
    assert await awaited(None) == "ClusterNotFound"
    assert await awaited(None, uriSecret={"name": "db"}) is None
