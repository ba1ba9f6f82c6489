"""What the policies of a service let through, played by the rules of Kubernetes: what it needs works, and
nothing else comes to its servers."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from lgs_crds import parse
from lgs_operator.desired.deployment import canary_deployment
from lgs_operator.desired.everything import everything
from lgs_operator.desired.inputs import Inputs
from lgs_operator.kube.kinds import Manifest
from lgs_operator.naming import POSTGRES_PORT, REDIS_PORT, RUNTIME_PORT
from support.desired import inputs_of
from support.network_policies import End, Policy, lets_through, pod_of

OPERATOR = End({"app.kubernetes.io/name": "lgs-operator"}, "lgs-system")
WEB = End({"app": "web"}, "shop", of_namespace={"team": "web"})
ALLOW: list[dict[str, Any]] = [{"namespaceSelector": {"matchLabels": {"team": "web"}}}]
MORE: dict[str, Any] = {
    "cache": {"redis": {"managed": {}}},
    "network": {"allowFrom": ALLOW},
    "topology": "Split",
}
SERVER = {"postgres": POSTGRES_PORT, "redis": REDIS_PORT, "runtime": RUNTIME_PORT, "api": RUNTIME_PORT}


def inputs(name: str = "support", *, restores: bool = False, backs_up: bool = True, **spec: Any) -> Inputs:
    """A service with all that may have a policy, or with what `spec` changes."""
    managed: dict[str, Any] = {"backup": {"schedule": "@daily", "volume": {}}} if backs_up else {}
    managed |= {"restoreFrom": {"service": "old"}} if restores else {}
    made = inputs_of(name, restores=restores, **managed)
    document = {
        "apiVersion": "lgs.dev/v1alpha1",
        "kind": "LangGraphService",
        "metadata": {"name": name, "namespace": "team", "uid": "u1"},
        "spec": {"image": "x:1", "persistence": {"postgres": {"managed": managed}}} | MORE | spec,
    }
    return replace(made, service=parse(document))


def pods(wanted: list[Manifest]) -> dict[str, End]:
    """A pod of each component."""
    found = dict[str, End]()
    for each in wanted:
        spec = each.get("spec", {})
        template = (spec.get("jobTemplate", {}).get("spec") or spec).get("template")
        if template is not None:
            component = each["metadata"]["labels"]["app.kubernetes.io/component"]
            found[component] = pod_of(template, "team")
    return found


def policies(wanted: list[Manifest]) -> list[Policy]:
    return [each for each in wanted if each["kind"] == "NetworkPolicy"]


def reaches(wanted: list[Manifest], source: End, target: str) -> bool:
    return lets_through(policies(wanted), source, pods(wanted)[target], SERVER[target])


def test_of_a_service_with_everything_exactly_what_needs_a_server_reaches_it() -> None:
    wanted = everything(inputs(restores=True))
    there = pods(wanted)
    assert there.keys() == {"runtime", "api", "postgres", "redis", "backup", "restore"}

    ways = {
        (source, target)
        for source, target in itertools.product(there, SERVER)
        if source != target and reaches(wanted, there[source], target)
    }

    to_postgres = {(each, "postgres") for each in ("runtime", "api", "backup", "restore")}
    assert ways == to_postgres | {("runtime", "redis"), ("api", "redis")}


def test_a_canary_reaches_what_the_replicas_beside_it_reach_and_is_called_by_the_same() -> None:
    given = inputs(topology="Combined")
    wanted = everything(given)
    canary = pod_of(canary_deployment(given, 10, 1)["spec"]["template"], "team")

    assert reaches(wanted, canary, "postgres") and reaches(wanted, canary, "redis")
    assert lets_through(policies(wanted), WEB, canary, RUNTIME_PORT)
    assert not lets_through(policies(wanted), End({}, "team"), canary, RUNTIME_PORT)


@pytest.mark.parametrize("target", SERVER)
@pytest.mark.parametrize(
    "stranger",
    [
        End({}, "team"),
        End({}, "elsewhere"),
        End(address="203.0.113.7"),
        End({"app.kubernetes.io/name": "lgs-operator"}, "elsewhere"),
        End({"lgs.dev/service": "support"}, "team"),
    ],
    ids=["of the namespace", "of another one", "from outside", "called like the operator", "half a label"],
)
def test_strangers_reach_nothing(stranger: End, target: str) -> None:
    assert not reaches(everything(inputs()), stranger, target)


def test_pods_of_another_service_reach_nothing_even_with_the_same_name_in_another_namespace() -> None:
    wanted = everything(inputs(restores=True))
    others = pods(everything(inputs("other", restores=True)))
    namesakes = (replace(each, namespace="elsewhere") for each in pods(wanted).values())

    reached = [
        (source.labels, target)
        for source, target in itertools.product((*others.values(), *namesakes), SERVER)
        if reaches(wanted, source, target)
    ]

    assert reached == []


def test_callers_and_the_operator_reach_replicas_at_their_port_and_no_server() -> None:
    wanted = everything(inputs())

    for caller, target in itertools.product((WEB, OPERATOR), SERVER):
        assert reaches(wanted, caller, target) == (target in {"runtime", "api"})
        assert not lets_through(policies(wanted), caller, pods(wanted)[target], 22)
    closed = everything(inputs(network={"allowFrom": []}))
    assert not reaches(closed, WEB, "api") and reaches(closed, OPERATOR, "api")
    everybody = everything(inputs(network={}))
    assert reaches(everybody, End({}, "elsewhere"), "api")
    assert not reaches(everybody, End({}, "elsewhere"), "postgres")


def test_without_backups_a_pod_that_is_called_one_is_a_stranger() -> None:
    backup = pods(everything(inputs()))["backup"]

    assert reaches(everything(inputs()), backup, "postgres")
    assert not reaches(everything(inputs(backs_up=False)), backup, "postgres")
    assert not reaches(everything(inputs()), backup, "redis")
