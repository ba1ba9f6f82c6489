"""What leads clients outside of the cluster to a service, and what is told of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lgs_crds import ManifestError
from lgs_crds.status import Condition, Status
from lgs_operator.desired.exposure import exposure
from lgs_operator.kube.drift import covers
from lgs_operator.kube.kinds import HTTP_ROUTE, INGRESS
from lgs_operator.status.diagnosis import Diagnosis
from lgs_operator.status.exposure import ExposureView, exposed
from support.desired import inputs_of, service

HOST = "chat.example.com"
GATEWAY = {"name": "public", "namespace": "edge", "sectionName": "https"}


def made(**network: Any) -> dict[str, dict[str, Any]]:
    """The wanted objects by their kinds."""
    inputs = replace(inputs_of(), service=service(network=network))
    return {each["kind"]: each for each in exposure(inputs)}


def told(view: ExposureView | None, before: Status | None = None) -> Condition | None:
    return next(exposed(view, before or Status()), None)


def test_nothing_leads_to_a_service_from_outside_unless_its_manifest_says_so() -> None:
    assert made() == {}
    assert told(ExposureView()) is None


def test_an_ingress_leads_all_paths_of_its_hosts_to_the_service() -> None:
    given = {"cert-manager.io/cluster-issuer": "main"}
    ingress = made(
        ingress={
            "hosts": [HOST, "*.chat.example.com"],
            "className": "nginx",
            "tlsSecretName": "cert",
            "annotations": given,
        }
    )["Ingress"]

    first, second = ingress["spec"]["rules"]
    assert (first["host"], second["host"]) == (HOST, "*.chat.example.com")
    assert first["http"]["paths"] == [
        {
            "path": "/",
            "pathType": "Prefix",
            "backend": {"service": {"name": "support", "port": {"name": "http"}}},
        }
    ]
    assert ingress["spec"]["tls"] == [{"hosts": [HOST, "*.chat.example.com"], "secretName": "cert"}]
    assert ingress["spec"]["ingressClassName"] == "nginx"
    assert ingress["metadata"]["annotations"] == given


def test_an_ingress_without_a_class_and_a_certificate_says_nothing_of_them() -> None:
    assert made(ingress={"hosts": [HOST]})["Ingress"]["spec"].keys() == {"rules"}


def test_an_http_route_leads_from_its_gateways_to_the_service_and_ends_no_stream() -> None:
    spec = made(httpRoute={"parentRefs": [GATEWAY, {"name": "inside", "port": 80}], "hostnames": [HOST]})[
        "HTTPRoute"
    ]["spec"]

    (rule,) = spec["rules"]
    assert spec["parentRefs"] == [GATEWAY, {"name": "inside", "port": 80}]
    assert rule["backendRefs"] == [{"name": "support", "port": 8000}]
    assert rule["timeouts"] == {"request": "0s"}
    assert spec["hostnames"] == [HOST]


@pytest.mark.parametrize(
    ("network", "words"),
    [
        ({"ingress": {"hosts": []}}, "spec.network.ingress.hosts"),
        ({"ingress": {"hosts": ["https://chat.example.com"]}}, "must be the name of a host"),
        ({"ingress": {"hosts": ["Chat.example.com"]}}, "must be the name of a host"),
        ({"httpRoute": {"parentRefs": []}}, "spec.network.httpRoute.parentRefs"),
        ({"httpRoute": {"parentRefs": [{"name": "public", "port": 0}]}}, "parentRefs[0].port: 0"),
    ],
)
def test_what_can_lead_nobody_is_refused_with_its_field_and_the_rule(network: Any, words: str) -> None:
    with pytest.raises(ManifestError) as refused:
        service(network=network)

    assert words in str(refused.value)


def test_two_listeners_of_one_gateway_are_no_drift() -> None:
    http, https = GATEWAY | {"sectionName": "http"}, GATEWAY
    wanted = made(httpRoute={"parentRefs": [http, https]})["HTTPRoute"]["spec"]
    defaults = {"group": "gateway.networking.k8s.io", "kind": "Gateway"}

    assert covers(wanted | {"parentRefs": [https | defaults, http | defaults]}, wanted)
    assert not covers(wanted | {"parentRefs": [http | defaults]}, wanted)


def ingress_with(**status: Any) -> dict[str, Any]:
    return made(ingress={"hosts": [HOST], "className": "nginx", "tlsSecretName": "cert"})["Ingress"] | {
        "status": {"loadBalancer": status}
    }


def route_with(*conditions: dict[str, Any], **parent: Any) -> dict[str, Any]:
    """An HTTPRoute of generation 2 of which a Gateway's controller says so."""
    route = made(httpRoute={"parentRefs": [GATEWAY], "hostnames": [HOST]})["HTTPRoute"]
    route["metadata"]["generation"] = 2
    answer = {"parentRef": GATEWAY | parent, "controllerName": "x", "conditions": list(conditions)}
    return route | {"status": {"parents": [answer]}}


def said(kind: str, status: str, reason: str = "Why", generation: int = 2) -> dict[str, Any]:
    message = "no such listener"
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": generation,
    }


@pytest.mark.parametrize(
    ("there", "status", "reason", "words"),
    [
        (ingress_with(), "Unknown", "RoutePending", "is there one for class nginx?"),
        (
            ingress_with(ingress=[{"ip": "192.0.2.7"}]),
            "True",
            "Routed",
            "https://chat.example.com at 192.0.2.7",
        ),
        (ingress_with(ingress=[{"hostname": "lb.example.com"}]), "True", "Routed", "at lb.example.com"),
        (ingress_with(ingress=[{}]), "Unknown", "RoutePending", "an address"),
        (route_with(), "Unknown", "RoutePending", "Gateway edge/public, listener https has not answered"),
        (route_with(said("Accepted", "True")), "True", "Routed", "chat.example.com at Gateway edge/public"),
        (route_with(said("Accepted", "True", generation=1)), "Unknown", "RoutePending", "has not answered"),
        (
            route_with(said("Accepted", "False", "NoMatchingParent")),
            "False",
            "NotAccepted",
            "NoMatchingParent: no such listener",
        ),
        (
            route_with(said("Accepted", "True"), said("ResolvedRefs", "False", "BackendNotFound")),
            "False",
            "NotAccepted",
            "BackendNotFound",
        ),
        (
            route_with(said("Accepted", "True"), sectionName="http"),
            "Unknown",
            "RoutePending",
            "has not answered",
        ),
    ],
)
def test_whether_clients_are_led_to_it_is_what_the_controllers_say(
    there: dict[str, Any], status: str, reason: str, words: str
) -> None:
    condition = told(ExposureView((there,)))

    assert condition is not None
    assert (condition.status, condition.reason) == (status, reason)
    assert words in condition.message


@pytest.mark.parametrize("earlier", [said("Accepted", "False"), said("Accepted", "True", generation=1)])
@pytest.mark.parametrize("is_last", [True, False])
def test_what_an_earlier_controller_of_a_gateway_said_does_not_hide_that_the_route_is_taken(
    earlier: dict[str, Any], is_last: bool
) -> None:
    route, left = route_with(said("Accepted", "True")), route_with(earlier)
    answers = [*route["status"]["parents"], *left["status"]["parents"]]
    route["status"]["parents"] = answers if is_last else answers[::-1]

    condition = told(ExposureView((route,)))

    assert condition is not None
    assert (condition.status, condition.reason) == ("True", "Routed")


def test_of_several_ways_the_one_that_does_not_lead_there_is_told() -> None:
    served, pending = ingress_with(ingress=[{"ip": "192.0.2.7"}]), route_with()

    condition = told(ExposureView((served, pending)))

    assert condition is not None
    assert (condition.status, condition.reason) == ("Unknown", "RoutePending")


def test_what_a_gateway_says_at_length_is_cut() -> None:
    long = said("Accepted", "False") | {"message": "x" * 32768}

    condition = told(ExposureView((route_with(long),)))

    assert condition is not None
    assert len(condition.message) < 1000


def test_what_could_not_be_made_is_told_and_while_it_is_not_known_it_is_as_it_was_told() -> None:
    lacking = ExposureView(lacking=Diagnosis("KindNotFound", "no HTTPRoute"))
    stated = told(lacking)

    assert stated is not None
    assert (stated.status, stated.reason) == ("False", "KindNotFound")
    assert told(None, Status(conditions=[stated])) == stated


def test_they_are_of_kinds_that_the_operator_knows_by_their_names() -> None:
    wanted = made(ingress={"hosts": [HOST]}, httpRoute={"parentRefs": [{"name": "public"}]})

    assert [each["apiVersion"] for each in wanted.values()] == [INGRESS.api_version, HTTP_ROUTE.api_version]
