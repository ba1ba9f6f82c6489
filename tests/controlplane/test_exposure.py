"""Clients outside of the cluster are led to a service as its manifest says, where the cluster has the kinds;
its condition has what their controllers say, and those are the stories here."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controlplane.controlplane_server import ControlPlane
from controlplane.manifests import condition, service
from controlplane.operators import Operators
from controlplane.optional_kinds import NOT_HERE, defined
from controlplane.story import Story
from lgs_operator.kube.kinds import DEPLOYMENT, HTTP_ROUTE, INGRESS, SERVICE_OF_OURS, Kind
from support.optional_kinds import definitions
from support.waiting import until

pytestmark = pytest.mark.controlplane
INGRESSED = {"ingress": {"hosts": ["chat.example.com"], "tlsSecretName": "cert"}}
ROUTED = {"httpRoute": {"parentRefs": [{"name": "public", "sectionName": "https"}]}}


async def exposed_is(story: Story, status: str, reason: str) -> str:
    said = await story.has_condition("Exposed", status, reason)
    return str(said["message"])


def answer(story: Story, kind: Kind, status: dict[str, Any]) -> None:
    """What the kind's controller says of the object."""
    patch = json.dumps({"status": status})
    command = ("--subresource=status", "--type=merge", "-p", patch, "-n", story.namespace)
    story.plane.run("patch", kind.plural, "support", *command)


async def test_an_ingress_follows_the_manifest_and_is_told_as_its_controller_answers(
    story: Story, operators: Operators
) -> None:
    operator = await operators.start()
    story.apply(service(network=INGRESSED))

    ingress = await story.appears(INGRESS)
    assert "no controller has given Ingress support an address" in await exposed_is(
        story, "Unknown", "RoutePending"
    )
    await story.has_condition("Reconciled", "True", "Done")
    assert ingress["metadata"]["ownerReferences"][0]["kind"] == "LangGraphService"

    answer(story, INGRESS, {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}})
    assert "https://chat.example.com at 192.0.2.7" in await exposed_is(story, "True", "Routed")
    await story.event("Routed", "192.0.2.7")

    hosts = {"spec": {"rules": [{"host": "evil.example.com"}]}}
    story.plane.run(
        "patch", "ingress", "support", "-n", story.namespace, "--type=merge", "-p", json.dumps(hosts)
    )

    async def mended() -> bool:
        return bool((await story.get(INGRESS))["spec"]["rules"] == ingress["spec"]["rules"])

    await until(mended, "it stays as it was changed by hand")
    await story.is_looked_at(operator)  # the reconciliation that mended it has ended
    writes = await operator.metric("lgs_operator_writes_total")
    await story.is_looked_at(operator)
    assert await operator.metric("lgs_operator_writes_total") == writes, "nothing is written for nothing"

    story.apply(service())
    await story.vanishes(INGRESS)

    async def not_told() -> bool:
        return condition((await story.get(SERVICE_OF_OURS)).get("status", {}), "Exposed") == {}

    await until(not_told, "the condition stays")


async def test_an_http_route_waits_for_its_kind_and_is_told_as_its_gateway_answers(
    story: Story, operators: Operators, plane: ControlPlane
) -> None:
    if not definitions([HTTP_ROUTE]):
        pytest.skip(NOT_HERE)
    operator = await operators.start()
    story.apply(service(network=ROUTED))
    assert "spec.network.httpRoute" in await exposed_is(story, "False", "KindNotFound")
    await story.appears(DEPLOYMENT)
    await story.has_condition("Reconciled", "True", "Done")

    async with defined(plane, [HTTP_ROUTE]):
        route = await story.appears(HTTP_ROUTE)
        await exposed_is(story, "Unknown", "RoutePending")
        said = {
            "type": "Accepted",
            "status": "False",
            "reason": "NotAllowedByListeners",
            "message": "other namespaces only",
            "observedGeneration": route["metadata"]["generation"],
            "lastTransitionTime": "2026-11-30T00:00:00Z",
        }
        parent = {"parentRef": ROUTED["httpRoute"]["parentRefs"][0], "controllerName": "example.com/gateways"}  # type: ignore[index]
        answer(story, HTTP_ROUTE, {"parents": [parent | {"conditions": [said]}]})
        assert "NotAllowedByListeners: other namespaces only" in await exposed_is(
            story, "False", "NotAccepted"
        )

        answer(story, HTTP_ROUTE, {"parents": [parent | {"conditions": [said | {"status": "True"}]}]})
        await exposed_is(story, "True", "Routed")

    await exposed_is(story, "False", "KindNotFound")
    assert await operator.metric("lgs_operator_internal_errors_total") == 0


async def test_an_ingress_that_somebody_made_by_hand_stays_theirs_and_is_told(
    story: Story, operators: Operators
) -> None:
    rules = [{"host": "theirs.example.com"}]
    head = {"apiVersion": INGRESS.api_version, "kind": INGRESS.name, "metadata": {"name": "support"}}
    story.apply(head | {"spec": {"rules": rules}})
    await operators.start()

    story.apply(service(network=INGRESSED))

    words = await exposed_is(story, "False", "Refused")
    assert f"Ingress support exists in namespace {story.namespace} and was made by somebody else" in words
    assert (await story.get(INGRESS))["spec"]["rules"] == rules
    await story.appears(DEPLOYMENT)

    story.plane.run("delete", "ingress", "support", "-n", story.namespace)

    await story.appears(INGRESS)
    await exposed_is(story, "Unknown", "RoutePending")
