"""What is made and told for who watches services from outside: metrics by service, and where the cluster has
the kinds of the Prometheus operator, what it and Grafana read."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from controlplane.chart import objects, rendered
from controlplane.chart_rights import with_rights
from controlplane.controlplane_server import ControlPlane
from controlplane.fake_kubelet import FakeKubelet
from controlplane.manifests import condition, service
from controlplane.operators import Operators
from controlplane.optional_kinds import NOT_HERE, defined
from controlplane.story import Story
from lgs_operator.kube.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    MONITORS,
    POD_MONITOR,
    PROMETHEUS_RULE,
    SERVICE_OF_OURS,
    Kind,
)
from support.optional_kinds import definitions
from support.waiting import until

pytestmark = pytest.mark.controlplane
MADE = ((POD_MONITOR, "support"), (PROMETHEUS_RULE, "support"), (CONFIG_MAP, "support-dashboard"))
HERE = bool(definitions(MONITORS))


@pytest_asyncio.fixture(scope="module")
async def prometheus_operator(plane: ControlPlane) -> AsyncIterator[None]:
    """The cluster has its kinds, from the first test that asks for them to the last one here."""
    if not HERE:
        pytest.skip(NOT_HERE)
    async with defined(plane, MONITORS):
        yield


def watched(**monitoring: Any) -> dict[str, Any]:
    """A service whose manifest has the section."""
    return service(observability={"monitoring": monitoring})


async def all_there(story: Story) -> list[dict[str, Any]]:
    return [await story.appears(kind, name) for kind, name in MADE]


async def nothing_there(story: Story) -> None:
    for kind, name in MADE:
        await story.vanishes(kind, name)


async def monitoring_is(story: Story, status: str, reason: str) -> str:
    said = await story.has_condition("MonitoringReady", status, reason)
    return str(said["message"])


async def test_the_operator_tells_the_replicas_of_a_service_until_it_is_gone(
    story: Story, operators: Operators
) -> None:
    operator = await operators.start()
    story.apply(service(scaling={"mode": "Manual"}, replicas=1))
    await story.appears(DEPLOYMENT)
    await operator.shows("lgs_operator_service_desired_replicas", 1)
    async with FakeKubelet(story.cluster, story.namespace):
        await operator.shows("lgs_operator_service_ready_replicas", 1)
    conditions = await operator.metric("lgs_operator_service_condition")

    story.plane.run("delete", "lgs", "support", "-n", story.namespace)

    assert conditions >= 5, "one for each condition"
    await operator.shows("lgs_operator_service_condition", 0)
    await operator.shows("lgs_operator_service_desired_replicas", 0)


async def test_the_kinds_may_come_and_go_while_the_operator_runs(
    story: Story, operators: Operators, plane: ControlPlane
) -> None:
    if not HERE:
        pytest.skip(NOT_HERE)
    operator = await operators.start()
    story.apply(watched())
    words = await monitoring_is(story, "False", "KindNotFound")
    assert "spec.observability.monitoring.podMonitor: false" in words
    await story.appears(CONFIG_MAP, "support-dashboard")
    await story.has_condition("Reconciled", "True", "Done")

    async with defined(plane, MONITORS):
        await all_there(story)
        await monitoring_is(story, "True", "Monitored")

    await monitoring_is(story, "False", "KindNotFound")
    assert await operator.metric("lgs_operator_internal_errors_total") == 0
    assert "KindNotFound" not in await story.event("Done"), "Reconciled is not concerned"


async def test_on_a_cluster_without_the_kinds_nothing_is_made_and_nothing_said(
    story: Story, operators: Operators
) -> None:
    await operators.start()
    story.apply(service())

    await story.has_condition("Reconciled", "True", "Done")

    assert condition(story.status, "MonitoringReady") == {}
    assert not await story.get(CONFIG_MAP, "support-dashboard")


async def test_a_service_is_watched_without_a_word_in_its_manifest_until_it_is_gone(
    story: Story, operators: Operators, prometheus_operator: None
) -> None:
    await operators.start()
    story.apply(service())

    monitor, rule, dashboard = await all_there(story)

    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["interval"]) == ("http", "30s")
    alerts = [each["alert"] for group in rule["spec"]["groups"] for each in group["rules"]]
    assert "LGSQueueFull" in alerts and "LGSRedisAway" not in alerts
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    (model,) = dashboard["data"].values()
    assert f'namespace=\\"{story.namespace}\\",lgs_dev_service=\\"support\\"' in model
    assert "PodMonitor, PrometheusRule, ConfigMap" in await monitoring_is(story, "True", "Monitored")
    for each in (monitor, rule, dashboard):
        (owner,) = each["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["controller"]) == ("LangGraphService", True)


async def test_the_api_server_takes_the_charts_own_pack(
    plane: ControlPlane, prometheus_operator: None
) -> None:
    pack = rendered(
        *(f"metrics.{each}.enabled=true" for each in ("podMonitor", "prometheusRule", "dashboard"))
    )
    ours = [each for kind in ("PodMonitor", "PrometheusRule", "ConfigMap") for each in objects(pack, kind)]

    said = plane.run("apply", "--dry-run=server", "-f", "-", stdin=json.dumps(as_list(ours)))

    assert said.count("created (server dry run)") == 3


def as_list(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": manifests}


async def test_what_watches_it_follows_the_manifest_and_is_taken_away_with_it(
    story: Story, operators: Operators, prometheus_operator: None
) -> None:
    await operators.start()
    story.apply(watched(labels={"release": "prometheus", "lgs.dev/service": "other"}, intervalSeconds=5))
    for made in await all_there(story):
        labels = made["metadata"]["labels"]
        assert (labels["release"], labels["lgs.dev/service"]) == ("prometheus", "support")

    story.apply(watched(podMonitor=False, dashboard=False))
    await story.vanishes(*MADE[0])
    await story.vanishes(*MADE[2])
    assert await story.get(*MADE[1]), "what was not switched off stays"

    story.apply(watched(enabled=False))
    await nothing_there(story)

    async def not_told() -> bool:
        found = await story.get(SERVICE_OF_OURS)
        return condition(found.get("status", {}), "MonitoringReady") == {}

    await until(not_told, "the condition stays")


def by_hand(kind: Kind, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": kind.api_version,
        "kind": kind.name,
        "metadata": {"name": "support", "labels": {"team": "ours"}},
        "spec": spec,
    }


async def test_what_somebody_made_by_hand_stays_theirs_and_is_told(
    story: Story, operators: Operators, prometheus_operator: None
) -> None:
    own = by_hand(PROMETHEUS_RULE, groups=[{"name": "mine", "rules": [{"alert": "A", "expr": "up == 0"}]}])
    story.apply(own)
    await operators.start()

    story.apply(service())

    words = await monitoring_is(story, "False", "Refused")
    assert (
        f"PrometheusRule support exists in namespace {story.namespace} and was made by somebody else" in words
    )
    await story.appears(POD_MONITOR)
    await story.appears(CONFIG_MAP, "support-dashboard")
    await story.has_condition("Reconciled", "True", "Done")
    there = await story.get(PROMETHEUS_RULE)
    assert there["spec"] == own["spec"] and there["metadata"]["labels"] == {"team": "ours"}

    story.plane.run("delete", "prometheusrule", "support", "-n", story.namespace)

    await monitoring_is(story, "True", "Monitored")


async def test_what_was_changed_by_hand_is_as_the_manifest_says_again(
    story: Story, operators: Operators, prometheus_operator: None
) -> None:
    operator = await operators.start()
    story.apply(service())
    monitor, _, dashboard = await all_there(story)
    await monitoring_is(story, "True", "Monitored")
    (name,) = dashboard["data"]
    namespace = ("-n", story.namespace, "--type=merge", "-p")

    faster = {"spec": {"podMetricsEndpoints": [{"port": "http", "interval": "1s"}]}}
    story.plane.run("patch", "podmonitor", "support", *namespace, json.dumps(faster))
    story.plane.run(
        "patch", "configmap", "support-dashboard", *namespace, json.dumps({"data": {name: "{}", "mine": "1"}})
    )

    async def mended() -> bool:
        now = [await story.get(kind, each) for kind, each in (MADE[0], MADE[2])]
        return now[0]["spec"] == monitor["spec"] and now[1]["data"][name] == dashboard["data"][name]

    await until(mended, "it stays as it was changed")
    assert (await story.get(*MADE[2]))["data"]["mine"] == "1", "what is not ours is left"
    await story.is_looked_at(operator)  # the reconciliation that mended it has ended
    writes = await operator.metric("lgs_operator_writes_total")
    await story.is_looked_at(operator)
    assert await operator.metric("lgs_operator_writes_total") == writes, "nothing is written for nothing"


async def test_a_role_without_these_kinds_is_told_and_holds_up_nothing(
    story: Story, operators: Operators, prometheus_operator: None, tmp_path: Path
) -> None:
    monitors = "podmonitors, prometheusrules"
    async with with_rights(story, operators, tmp_path, without=monitors) as (_, rights):
        story.apply(service())

        words = await monitoring_is(story, "False", "MonitoringForbidden")
        assert 'cannot list resource "podmonitors"' in words
        await story.has_condition("Reconciled", "True", "Done")

        rights.give()

        await all_there(story)
        await monitoring_is(story, "True", "Monitored")
