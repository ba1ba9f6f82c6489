"""Rights to an optional kind that are taken away while its objects are watched, and given back; and a kind
that goes and comes back. The service goes on meanwhile, and is told what it lacks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from controlplane.chart_rights import with_rights
from controlplane.controlplane_server import ControlPlane
from controlplane.manifests import condition, service
from controlplane.operators import Operators
from controlplane.optional_kinds import NOT_HERE, defined
from controlplane.story import Story
from lgs_operator.kube.kinds import (
    HTTP_ROUTE,
    INGRESS,
    MONITORS,
    POD_MONITOR,
    SERVICE_OF_OURS,
)
from support.optional_kinds import definitions
from support.waiting import until

pytestmark = pytest.mark.controlplane
INGRESSED = {"ingress": {"hosts": ["chat.example.com"]}}
ROUTED = {"httpRoute": {"parentRefs": [{"name": "public"}]}}


def change_by_hand(story: Story, host: str) -> None:
    patch = json.dumps({"spec": {"rules": [{"host": host}]}})
    story.plane.run("patch", "ingress", "support", "-n", story.namespace, "--type=merge", "-p", patch)


async def test_rights_to_ingresses_that_are_taken_away_are_told_and_what_was_missed_is_made_good(
    story: Story, operators: Operators, tmp_path: Path
) -> None:
    async with with_rights(story, operators, tmp_path) as (operator, rights):
        story.apply(service(network=INGRESSED))
        before = await story.appears(INGRESS)
        await story.has_condition("Exposed", "Unknown", "RoutePending")

        rights.take("ingresses")

        said = await story.has_condition("Exposed", "False", "ExposureForbidden")
        assert 'cannot list resource "ingresses"' in said["message"]
        assert "leave out spec.network.ingress" in said["message"]
        await story.has_condition("Reconciled", "True", "Done")
        change_by_hand(story, "evil.example.com")
        story.apply(service(network=INGRESSED, workers={"concurrency": 3}))
        await story.has_condition("Reconciled", "True", "Done")
        await story.has_condition("Exposed", "False", "ExposureForbidden")

        rights.give()

        await story.has_condition("Exposed", "Unknown", "RoutePending")

        async def mended() -> bool:
            return bool((await story.get(INGRESS))["spec"]["rules"] == before["spec"]["rules"])

        await until(mended, "the Ingress stays as it was changed by hand")
        assert (await story.get(INGRESS))["metadata"]["uid"] == before["metadata"]["uid"]
        assert await operator.metric("lgs_operator_internal_errors_total") == 0


async def test_an_ingress_that_is_given_up_without_rights_goes_when_they_are_back(
    story: Story, operators: Operators, tmp_path: Path
) -> None:
    async with with_rights(story, operators, tmp_path) as (_, rights):
        story.apply(service(network=INGRESSED))
        await story.appears(INGRESS)
        rights.take("ingresses")
        await story.has_condition("Exposed", "False", "ExposureForbidden")

        story.apply(service())

        async def not_told() -> bool:
            return condition((await story.get(SERVICE_OF_OURS)).get("status", {}), "Exposed") == {}

        await until(not_told, "the condition stays")
        assert await story.get(INGRESS), "nobody may delete it"
        rights.give()
        await story.vanishes(INGRESS)


async def test_rights_to_what_watches_a_service_that_are_taken_away_are_told(
    story: Story, operators: Operators, plane: ControlPlane, tmp_path: Path
) -> None:
    if not definitions(MONITORS):
        pytest.skip(NOT_HERE)
    async with defined(plane, MONITORS), with_rights(story, operators, tmp_path) as (_, rights):
        story.apply(service())
        await story.appears(POD_MONITOR)
        await story.has_condition("MonitoringReady", "True", "Monitored")

        rights.take("podmonitors, prometheusrules")

        said = await story.has_condition("MonitoringReady", "False", "MonitoringForbidden")
        assert 'cannot list resource "podmonitors"' in said["message"]
        await story.has_condition("Reconciled", "True", "Done")

        rights.give()

        await story.has_condition("MonitoringReady", "True", "Monitored")


async def test_a_kind_that_is_deleted_and_installed_again_has_its_objects_made_again(
    story: Story, operators: Operators, plane: ControlPlane
) -> None:
    if not definitions([HTTP_ROUTE]):
        pytest.skip(NOT_HERE)
    operator = await operators.start()
    story.apply(service(network=ROUTED))
    uids = set[str]()

    for _ in range(3):
        # from the second time on it is back before the operator has seen it go, or after
        async with defined(plane, [HTTP_ROUTE]):
            uids.add((await story.appears(HTTP_ROUTE))["metadata"]["uid"])
            await story.has_condition("Exposed", "Unknown", "RoutePending")

    assert len(uids) == 3
    await story.has_condition("Exposed", "False", "KindNotFound")
    assert await operator.metric("lgs_operator_internal_errors_total") == 0
