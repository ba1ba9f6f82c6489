"""The chart's rights are enough for the whole life of a service, and none of them is there for nothing.

The API server's audit log has what the operator requested; each verb of each rule must be among it.
"""

from __future__ import annotations

import json
import re
import shlex
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from controlplane.chart import environment, objects, rendered
from controlplane.controlplane_server import ControlPlane
from controlplane.fake_kubelet import FakeKubelet
from controlplane.manifests import service
from controlplane.operators import Operators, Running
from controlplane.optional_kinds import defined
from controlplane.story import Story
from lgs_operator.kube.kinds import (
    CONFIG_MAP,
    CRON_JOB,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    HTTP_ROUTE,
    INGRESS,
    JOB,
    MONITORS,
    NETWORK_POLICY,
    POD_MONITOR,
    PROMETHEUS_RULE,
    REPLICA_SET,
    SECRET,
    SERVICE,
    SERVICE_OF_OURS,
    STATEFUL_SET,
    Kind,
)
from support.optional_kinds import definitions
from support.waiting import until

pytestmark = pytest.mark.controlplane
ACCOUNT = "lgs-operator"
CODE = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "code"}, "data": {"graph.py": "1"}}
NO_PODS = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "none"},
    "spec": {"hard": {"pods": "0"}},
}
WHOLE: dict[str, Any] = {
    "image": None,
    "source": {"configMap": "code"},
    "graphs": {"agent": "./graph.py:graph"},
    "revisionHistoryLimit": 0,
    "scaling": {"minReplicas": 1, "maxReplicas": 4, "scaleDown": {"holdSeconds": 0}},
    "persistence": {
        "postgres": {"managed": {"storage": "1Gi", "backup": {"schedule": "0 3 * * *", "volume": {}}}}
    },
    "cache": {"redis": {"managed": {}}},
    "network": {
        "allowFrom": [{"podSelector": {}}],
        "ingress": {"hosts": ["chat.example.com"]},
        "httpRoute": {"parentRefs": [{"name": "public"}]},
    },
    "pod": {"envFrom": [{"secretRef": {"name": "keys"}}]},
}


PLAIN = {"postgres": {"managed": {"storage": "1Gi"}}}


class Right(NamedTuple):
    """One verb on one resource; `name` is empty where it holds for all of them."""

    group: str
    resource: str
    verb: str
    name: str = ""


DEFINED = (*MONITORS, HTTP_ROUTE)
HERE = bool(definitions(DEFINED))
GROUPS = {each.api_version.partition("/")[0] for each in DEFINED}
BY_THE_API_SERVER = Right("lgs.dev", "langgraphservices/finalizers", "update")
"""Never requested by itself: checked when an owner reference is written."""


@dataclass(frozen=True)
class Installation:
    """An operator that has the chart's rights and no others."""

    story: Story
    operator: Running
    chart: str

    def granted(self) -> set[Right]:
        """All that its roles allow."""
        roles = [*objects(self.chart, "Role"), *objects(self.chart, "ClusterRole")]
        return {
            Right(group, resource, verb, name)
            for role in roles
            for rule in role["rules"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
            for name in rule.get("resourceNames", [""])
        }

    def asked(self) -> list[dict[str, Any]]:
        """What it asked the API server for."""
        return self.story.plane.asked_by(self.story.namespace, ACCOUNT)

    def refused(self) -> list[dict[str, Any]]:
        """What it was not allowed; in namespaces of earlier stories, which are going, nothing is made."""
        return [
            entry
            for entry in self.asked()
            if entry["responseStatus"]["code"] in {401, 403}
            and entry.get("objectRef", {}).get("namespace") in {None, "", self.story.namespace}
        ]

    def used(self) -> set[Right]:
        """The rights that this took, by resource and by name."""
        return {right for entry in self.asked() for right in rights_of(entry)}


def rights_of(entry: dict[str, Any]) -> set[Right]:
    """What an entry of the audit log needed: to apply what is not there yet is to create it, too."""
    asked = entry.get("objectRef")
    if asked is None:
        return set()
    group, resource = asked.get("apiGroup", ""), asked["resource"]
    resource += f"/{asked['subresource']}" if "subresource" in asked else ""
    verbs = {entry["verb"]} | ({"create"} if entry["responseStatus"]["code"] == 201 else set())
    names = {"", asked.get("name", "")}
    return {Right(group, resource, verb, name) for verb in verbs for name in names}


@pytest.fixture(params=["cluster", "namespaced"])
async def installation(
    request: pytest.FixtureRequest,
    story: Story,
    operators: Operators,
    tmp_path: Path,
) -> Any:
    """The chart's roles, and an operator with its settings, too."""
    plane, namespace = story.plane, story.namespace
    values = ["clusterWide=true"] if request.param == "cluster" else []
    chart = rendered("crds.install=false", *values, namespace=namespace)
    plane.run("apply", "-f", "-", stdin=chart)
    # Only to have it made anew: what the chart brings is there.
    plane.run("delete", "lease", ACCOUNT, "-n", namespace)
    await until(lambda: may_watch(plane, namespace), "its rights are not in force")
    token = plane.run("create", "token", ACCOUNT, "-n", namespace).strip()
    kept = ("LGS_OPERATOR_NAMESPACES", "LGS_OPERATOR_LEASE", "LGS_OPERATOR_PATCH_PODS", "LGS_OPERATOR_CLASS")
    settings = {name: value for name, value in environment(chart).items() if name in kept}
    operator = await operators.start(
        kubeconfig=plane.kubeconfig_for(token, tmp_path / "operator.conf"), env=settings
    )
    yield Installation(story, operator, chart)
    plane.run("delete", "-f", "-", "--wait=false", stdin=chart)


def may_watch(plane: ControlPlane, namespace: str) -> bool:
    """The API server knows the roles and their bindings: a moment after they were stored."""
    account = f"--as=system:serviceaccount:{namespace}:{ACCOUNT}"
    asked = ("auth", "can-i", "watch", "langgraphservices.lgs.dev", account, "-n", namespace)
    return plane.run(*asked, check=False).strip() == "yes"


async def test_the_whole_life_of_a_service_takes_every_right_of_the_chart_and_no_other(
    installation: Installation,
) -> None:
    story = installation.story
    async with defined(story.plane, DEFINED) if HERE else nullcontext():
        await lives(story)
    unused = {BY_THE_API_SERVER}
    if not HERE:
        unused |= {each for each in installation.granted() if each.group in GROUPS}

    assert [(entry["verb"], entry["requestURI"]) for entry in installation.refused()] == []
    await until(
        # Its Lease it renews now and then.
        lambda: installation.granted() - installation.used() == unused,
        lambda: f"never used: {installation.granted() - installation.used()}",
    )
    assert all(
        right.resource != "secrets" or right.verb not in {"list", "watch"} for right in installation.used()
    )


async def lives(story: Story) -> None:
    """All that can happen to a service, from its beginning to its end."""
    await begins(story)
    await is_split_and_put_together(story)
    await is_scaled_out_and_in(story)
    await has_its_code_changed(story)
    await is_repaired(story)
    await loses_what_is_not_wanted(story)
    await is_restored(story)
    await is_refused_pods(story)
    await has_a_database_by_reference(story)
    story.plane.run("delete", "lgs", "--all", "-n", story.namespace)
    await story.vanishes(DEPLOYMENT)


@pytest.mark.parametrize("installation", ["namespaced"], indirect=True)
async def test_without_the_right_to_finalizers_an_api_server_that_looks_refuses_every_object(
    installation: Installation,
) -> None:
    story = installation.story
    roles = [*objects(installation.chart, "Role"), *objects(installation.chart, "ClusterRole")]
    (role,) = [each for each in roles if "finalizers" in json.dumps(each)]
    role["rules"] = [each for each in role["rules"] if "finalizers" not in json.dumps(each)]

    story.plane.run("apply", "-f", "-", stdin=json.dumps(role))
    story.apply(service())

    said = await story.has_condition("Reconciled", "False", "Refused")
    assert "cannot set blockOwnerDeletion" in said["message"]


@pytest.mark.parametrize("installation", ["namespaced"], indirect=True)
async def test_a_right_that_was_taken_away_is_told_by_every_service_that_needs_it(
    installation: Installation,
) -> None:
    story = installation.story
    roles = [*objects(installation.chart, "Role"), *objects(installation.chart, "ClusterRole")]
    (role,) = [each for each in roles if "secrets" in json.dumps(each)]
    role["rules"] = [each for each in role["rules"] if "secrets" not in each["resources"]]

    story.plane.run("apply", "-f", "-", stdin=json.dumps(role))
    story.apply(service())

    said = await story.has_condition("Reconciled", "False", "Refused")
    assert 'cannot get resource "secrets"' in said["message"]
    assert await installation.operator.metric("lgs_operator_internal_errors_total") == 0


@pytest.mark.parametrize("installation", ["namespaced"], indirect=True)
async def test_where_only_who_may_delete_a_volume_may_change_its_owner_the_way_out_is_told(
    installation: Installation,
) -> None:
    """As OpenShift has it: the operator may delete no volume."""
    story, volume = installation.story, "data-support-postgres-0"
    database = {"storage": "1Gi", "deletionPolicy": "Delete"}
    story.apply(service(persistence={"postgres": {"managed": database}}))
    await story.has_condition("Reconciled", "True", "Done")

    story.apply(service(persistence={"postgres": {"managed": database | {"deletionPolicy": "Retain"}}}))

    said = await story.has_condition("Reconciled", "False", "Refused")
    assert f"PersistentVolumeClaim {volume} is still deleted with the service" in said["message"]
    assert (await story.get(SERVICE_OF_OURS))["status"]["database"]["deletionPolicy"] == "Delete"
    (command,) = re.findall(r"kubectl (patch .*?'.*?')", said["message"])
    story.plane.run(*shlex.split(command))
    await story.has_condition("Reconciled", "True", "Done")
    assert (await story.get(SERVICE_OF_OURS))["status"]["database"]["deletionPolicy"] == "Retain"


async def begins(story: Story) -> None:
    """Everything that a service can have is made."""
    story.plane.run("create", "secret", "generic", "keys", "-n", story.namespace, "--from-literal=KEY=x")
    story.apply(CODE)
    story.apply(service(**WHOLE))
    for kind, name in (
        (STATEFUL_SET, "support-postgres"),
        (DEPLOYMENT, "support-redis"),
        (DEPLOYMENT, "support"),
    ):
        await story.appears(kind, name)


async def is_split_and_put_together(story: Story) -> None:
    """Replicas that only answer requests are made, and go again with what is theirs."""
    theirs = (DEPLOYMENT, DISRUPTION_BUDGET, NETWORK_POLICY)
    story.apply(service(**(WHOLE | {"topology": "Split"})))
    for kind in theirs:
        await story.appears(kind, "support-api")
    story.apply(service(**WHOLE))
    for kind in theirs:
        await story.vanishes(kind, "support-api")


async def is_scaled_out_and_in(story: Story) -> None:
    """A spike comes and goes."""

    async def becomes(replicas: int) -> bool:
        return bool((await story.get(DEPLOYMENT))["spec"].get("replicas") == replicas)

    async with FakeKubelet(story.cluster, story.namespace) as pods:
        await story.has_condition("ScalingActive", "True", "Measuring")
        pods.load.serves(per_second=40, run_seconds=1.0, waiting=30)
        await until(lambda: becomes(4), "the spike is not followed")
        await story.has_condition("Ready", "True", "Serving")
        pods.load.serves(per_second=2, run_seconds=1.0, waiting=0)
        await until(lambda: becomes(1), "the replicas are not given back")


async def has_its_code_changed(story: Story) -> None:
    """The copy of code that nothing mounts any more goes with the next change."""

    async def names(kind: Kind, labels: str) -> set[str]:
        found, _ = await story.cluster.list(kind, story.namespace, labels=f"lgs.dev/service=support{labels}")
        return {each["metadata"]["name"] for each in found}

    async def replica_sets() -> set[str]:
        return await names(REPLICA_SET, ",app.kubernetes.io/component=runtime")

    async def only_one() -> set[str] | None:
        now = await replica_sets()
        return now if len(now) == 1 else None

    of_source = ",app.kubernetes.io/component=source"
    (first,) = await until(only_one, "an old ReplicaSet stays")
    (copy,) = await names(CONFIG_MAP, of_source)

    async def has_taken_its_place() -> bool:
        now = await replica_sets()
        return len(now) == 1 and first not in now

    async def is_gone() -> bool:
        return copy not in await names(CONFIG_MAP, "")

    async with FakeKubelet(story.cluster, story.namespace):
        story.apply(CODE | {"data": {"graph.py": "2"}})
        await until(has_taken_its_place, "the old ReplicaSet stays")
        story.apply(CODE | {"data": {"graph.py": "3"}})
        await until(is_gone, "the copy of the first code stays")


async def has_a_database_by_reference(story: Story) -> None:
    """A service waits for a Cluster of CloudNativePG."""
    story.apply(service("other", persistence={"postgres": {"cloudNativePG": {"cluster": "main"}}}))

    async def is_told() -> bool:
        return "ClusterNotFound" in json.dumps(await story.get(SERVICE_OF_OURS, "other"))

    await until(is_told, "the Cluster is not asked for")


async def is_repaired(story: Story) -> None:
    """The same is changed by hand again and again: that raises the count of its Event. One that meets a
    change of the manifest is repaired with it, and an Event that can't be written is left out."""
    image = (await story.template())["spec"]["containers"][0]["image"]
    counts = ("get", "events", "-o", 'jsonpath={.items[?(@.reason=="DriftRepaired")].count}')

    async def repaired() -> bool:
        return bool((await story.template())["spec"]["containers"][0]["image"] == image)

    async def told_again() -> bool:
        story.plane.run("set", "image", "deployment/support", "runtime=wrong:1", "-n", story.namespace)
        await until(repaired, "the image stays")
        return any(int(count) > 1 for count in story.plane.run(*counts, "-n", story.namespace).split())

    await until(told_again, "the repair is not told a second time")


async def loses_what_is_not_wanted(story: Story) -> None:
    """An edit takes away the managed Redis, the NetworkPolicy and backups; a changed Secret is rolled out."""
    before = (await story.template())["metadata"]["annotations"]
    patch = json.dumps({"stringData": {"KEY": "y"}})
    story.plane.run("patch", "secret", "keys", "-n", story.namespace, "-p", patch)

    async def rolled() -> bool:
        return bool((await story.template())["metadata"]["annotations"] != before)

    await until(rolled, "a changed Secret does not reach the pods")
    await story.appears(CRON_JOB, "support-backup")
    beside = (POD_MONITOR, PROMETHEUS_RULE, INGRESS, HTTP_ROUTE) if HERE else (INGRESS,)
    for kind in beside:
        await story.appears(kind)
    unwatched = {"monitoring": {"enabled": False}}
    less = {"persistence": PLAIN, "cache": {}, "network": {}, "observability": unwatched}
    story.apply(service(**(WHOLE | less)))
    gone = (DEPLOYMENT, SERVICE, SECRET, NETWORK_POLICY)
    # Redis goes with the last replica that has it.
    async with FakeKubelet(story.cluster, story.namespace):
        for kind, name in [*((kind, "support-redis") for kind in gone), (NETWORK_POLICY, "support")]:
            await story.vanishes(kind, name)
    await story.vanishes(CRON_JOB, "support-backup")
    for kind in beside:
        await story.vanishes(kind)


async def is_restored(story: Story) -> None:
    """A new service begins with a backup; while it waits for it, another one is named."""

    async def jobs() -> set[str]:
        found, _ = await story.cluster.list(JOB, story.namespace, labels="lgs.dev/service=copy")
        return {each["metadata"]["name"] for each in found}

    def of(backup: str) -> dict[str, Any]:
        source = {"service": "support", "name": backup}
        return service("copy", persistence={"postgres": {"managed": {"restoreFrom": source}}})

    story.apply(of("latest"))
    before = await until(jobs, "there is no Job of the restore")
    story.apply(of("20261128T030002Z-1a2b3c"))

    async def another() -> bool:
        now = await jobs()
        return bool(now) and not now & before

    await until(another, "the Job of the restore stays")


async def is_refused_pods(story: Story) -> None:
    """A namespace takes no more pods: why, the Events of the managed database's StatefulSet say."""
    story.apply(NO_PODS)
    story.apply(service("late", persistence=PLAIN))

    async def told() -> bool:
        late = await story.get(SERVICE_OF_OURS, "late")
        return "QuotaExceeded" in json.dumps(late.get("status", {}))

    await until(told, "it is not told why there is no pod")
