"""The policies of the chart and of services together, played by the rules of Kubernetes: the operator reaches
what it must, wherever it is installed, and not what it must not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controlplane.chart import environment, objects, rendered
from lgs_operator.desired.everything import everything
from lgs_operator.desired.inputs import Inputs
from lgs_operator.naming import POSTGRES_PORT, RUNTIME_PORT
from support.desired import inputs_of, service
from support.network_policies import End, Policy, lets_through, pod_of

pytestmark = pytest.mark.controlplane
INSIDE, ANYWHERE = "10.96.0.1", "203.0.113.7"


def closed_service(operator_namespace: str) -> Inputs:
    """One that nobody may call, in the namespace `team`."""
    spec = {"network": {"allowFrom": []}, "persistence": {"postgres": {"managed": {}}}}
    return replace(inputs_of(), service=service(**spec), operator_namespace=operator_namespace)


def installed(*values: str, release: str = "lgs-operator") -> tuple[list[Policy], End, str]:
    """The chart's policies, the operator's pod, and what it takes for its namespace."""
    chart = rendered(*values, release=release, namespace="platform")
    (deployment,) = objects(chart, "Deployment")
    made = list[Policy](objects(chart, "NetworkPolicy"))
    pod = pod_of(deployment["spec"]["template"], "platform")
    return made, pod, environment(chart).get("POD_NAMESPACE", "platform")


def pods_of(wanted: list[dict[str, object]]) -> dict[str, End]:
    found = (each for each in wanted if each["kind"] in {"Deployment", "StatefulSet"})
    return {str(each["metadata"]["name"]): pod_of(each["spec"]["template"], "team") for each in found}  # type: ignore[index]


@pytest.mark.parametrize("release", ["lgs-operator", "ours"])
@pytest.mark.parametrize("values", [("clusterWide=true",), ("namespaces={team,other}",)])
def test_the_operator_reads_the_replicas_of_a_service_that_nobody_may_call(
    values: tuple[str, ...], release: str
) -> None:
    policies, operator, namespace = installed(*values, release=release)
    wanted = everything(closed_service(namespace))
    policies += [each for each in wanted if each["kind"] == "NetworkPolicy"]
    pods = pods_of(wanted)

    assert lets_through(policies, operator, pods["support"], RUNTIME_PORT)
    assert not lets_through(policies, operator, pods["support-postgres"], POSTGRES_PORT)
    assert not lets_through(policies, operator, pods["support"], 22)


def test_an_operator_of_some_namespaces_reaches_no_pods_of_others() -> None:
    policies, operator, _ = installed("namespaces={other}")
    (replica,) = [
        each for name, each in pods_of(everything(closed_service("x"))).items() if name == "support"
    ]

    assert not lets_through(policies, operator, replica, RUNTIME_PORT)
    assert lets_through(policies, operator, replace(replica, namespace="other"), RUNTIME_PORT)


def test_the_operator_reaches_the_api_server_and_names_and_is_read_at_its_metrics_only() -> None:
    policies, operator, _ = installed()
    port = operator.named["metrics"]

    assert lets_through(policies, operator, End(address=INSIDE), 6443)
    assert lets_through(policies, operator, End({"k8s-app": "kube-dns"}, "kube-system"), 53, "UDP")
    assert lets_through(policies, End({}, "monitoring"), operator, port)
    assert not lets_through(policies, End({}, "monitoring"), operator, port + 1)
    assert not lets_through(policies, operator, End(address=ANYWHERE), 80)
    few = installed("networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.team=sre")
    assert not lets_through(few[0], End({}, "monitoring"), few[1], port)
    assert lets_through(few[0], End({}, "monitoring", of_namespace={"team": "sre"}), few[1], port)
