"""Replicas that answer requests apart from those that execute runs: what a manifest wants then, what stays
as it is while a live service goes from one to the other, and what its status says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from lgs_crds import parse
from lgs_operator.desired.everything import everything
from lgs_operator.desired.inputs import Inputs
from lgs_operator.handover import kept
from lgs_operator.kube.kinds import DEPLOYMENT, NETWORK_POLICY, SERVICE, Key, Manifest, ServiceKey, key_of
from lgs_operator.settings import Images
from lgs_operator.status.diagnosis import Diagnosis
from lgs_operator.status.halted import halted_status
from lgs_operator.status.observed import ObservedService
from lgs_operator.status.scaling import ScalingView
from lgs_operator.status.service import progressing, ready, status_of
from support.desired import inputs_of

KEY = ServiceKey("team", "support")
DATABASE = {"persistence": {"postgres": {"uriSecret": {"name": "db"}}}}
SERVICE_KEY = Key(SERVICE, *KEY)
CALLERS_OF_API = Key(NETWORK_POLICY, "team", "support-api")
RUNTIME, API = Key(DEPLOYMENT, *KEY), Key(DEPLOYMENT, "team", "support-api")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def inputs(**spec: Any) -> Inputs:
    document = {
        "apiVersion": "lgs.dev/v1alpha1",
        "kind": "LangGraphService",
        "metadata": {"name": "support", "namespace": "team", "uid": "u1"},
        "spec": {"image": "example.com/support:1"} | DATABASE | spec,
    }
    return Inputs(parse(document), Images(), "abc", None, "", "lgs-system")


def split(**spec: Any) -> dict[Key, Manifest]:
    return wanted(topology="Split", **spec)


def wanted(**spec: Any) -> dict[Key, Manifest]:
    return {key_of(each): each for each in everything(inputs(**spec))}


def container(deployment: Manifest) -> Manifest:
    found: Manifest = deployment["spec"]["template"]["spec"]["containers"][0]
    return found


def role(deployment: Manifest) -> str | None:
    env = container(deployment)["env"]
    return next((each["value"] for each in env if each["name"] == "LGS_ROLE"), None)


def pod(deployment: Manifest, *, takes_work: bool = True, **status: Any) -> Manifest:
    """A pod of a Deployment, as it would be made now."""
    said = {"conditions": [{"type": "Ready", "status": str(takes_work)}]}
    template = deployment["spec"]["template"]
    return {"metadata": {"name": "a-pod"}, "spec": template["spec"], "status": said | status}


def as_it_runs(deployment: Manifest, replicas: int) -> Manifest:
    state = {"observedGeneration": 1, "updatedReplicas": replicas, "replicas": replicas}
    spec = deployment["spec"] | {"replicas": replicas}
    return deployment | {"metadata": {"generation": 1}, "spec": spec, "status": state}


# What is wanted


def test_split_has_a_deployment_that_answers_and_one_that_executes() -> None:
    combined, apart = wanted(), split(api={"replicas": 3})

    assert API not in combined
    assert (role(combined[RUNTIME]), role(apart[RUNTIME]), role(apart[API])) == ("combined", "worker", "api")
    assert apart[API]["spec"]["replicas"] == 3
    assert "replicas" not in apart[RUNTIME]["spec"]


def test_requests_come_only_to_those_that_answer_and_each_kind_has_pods_of_its_own() -> None:
    apart = split()
    chosen = {
        name: each["spec"]["selector"]["matchLabels"]
        for name, each in apart.items()
        if name in (API, RUNTIME)
    }

    assert apart[SERVICE_KEY]["spec"]["selector"] == chosen[API]
    assert wanted()[SERVICE_KEY]["spec"]["selector"] == chosen[RUNTIME]
    assert chosen[API] != chosen[RUNTIME]
    for name, selector in chosen.items():
        spec = apart[name]["spec"]["template"]["spec"]
        spread = spec["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"]
        assert spread == selector
        assert apart[name]["spec"]["template"]["metadata"]["labels"].items() >= selector.items()


def test_both_kinds_are_protected_from_node_drains_and_may_be_called_by_the_same() -> None:
    apart = split(network={"allowFrom": [{"podSelector": {}}]}, cache={"redis": {"managed": {}}})

    names = {
        kind: sorted(key.name for key in apart if key.kind.name == kind)
        for kind in ("PodDisruptionBudget", "NetworkPolicy")
    }
    redis = next(
        each
        for key, each in apart.items()
        if key.name == "support-redis" and key.kind.name == "NetworkPolicy"
    )

    assert names["PodDisruptionBudget"] == ["support", "support-api"]
    assert names["NetworkPolicy"] == ["support", "support-api", "support-redis"]
    peers = [each["podSelector"]["matchLabels"] for each in redis["spec"]["ingress"][0]["from"]]
    assert peers == [apart[each]["spec"]["selector"]["matchLabels"] for each in (RUNTIME, API)]


def test_those_that_answer_ask_for_what_the_manifest_gives_them() -> None:
    small, large = {"requests": {"cpu": "100m"}}, {"requests": {"cpu": "2"}}

    own = split(pod={"resources": large}, api={"resources": small})
    same = split(pod={"resources": large})

    assert [container(own[each])["resources"] for each in (API, RUNTIME)] == [small, large]
    assert [container(same[each])["resources"] for each in (API, RUNTIME)] == [large, large]


# From one topology to the other


def test_to_split_all_stays_until_a_replica_that_answers_is_ready() -> None:
    before, after = wanted(), split()
    starting, there = pod(after[API], takes_work=False), pod(after[API])

    nobody = kept(KEY, before, [pod(before[RUNTIME])], [starting], split=True, some_wanted=True)
    somebody = kept(KEY, before, [pod(before[RUNTIME])], [there], split=True, some_wanted=True)

    assert nobody == {SERVICE_KEY, RUNTIME}
    assert not somebody


def test_to_combined_those_that_answer_stay_until_all_others_do_too() -> None:
    before, after = split(), wanted()
    worker, new = pod(before[RUNTIME]), pod(after[RUNTIME])
    leaving = worker | {"metadata": {"name": "a-pod", "deletionTimestamp": "now"}}

    def stays(*pods: Manifest) -> bool:
        found = kept(KEY, before, pods, [pod(before[API])], split=False, some_wanted=True)
        assert found == {CALLERS_OF_API} or (found >= {SERVICE_KEY, API} and RUNTIME not in found)
        return SERVICE_KEY in found

    assert stays()
    assert stays(worker)
    assert stays(pod(after[RUNTIME], takes_work=False))
    assert stays(worker, new)
    assert not stays(leaving, new)


def test_a_service_that_is_to_have_no_replica_waits_for_none() -> None:
    assert SERVICE_KEY not in kept(KEY, split(), [], [pod(split()[API])], split=False, some_wanted=False)


def test_until_those_that_answer_have_ended_they_may_be_called_by_none_but_before() -> None:
    """They end what they have begun for as long as a drain lasts, and who knows their address could ask."""
    before, after = split(), wanted()
    ending = pod(before[API]) | {"metadata": {"name": "a-pod", "deletionTimestamp": "now"}}

    ends, ended = (
        kept(KEY, after, [pod(after[RUNTIME])], there, split=False, some_wanted=True)
        for there in ([ending], [])
    )

    assert ends == {CALLERS_OF_API}
    assert not ended


@pytest.mark.parametrize("managed", ["redis", "postgres"])
def test_while_the_topology_changes_both_kinds_of_replicas_reach_the_managed_servers(managed: str) -> None:
    """Those of the one before it answer until the others do, and end what they have begun after that."""
    given = inputs_of().postgres
    spec = {"cache": {"redis": {"managed": {}}}, "persistence": {"postgres": {"managed": {}}}}
    chosen = [split()[each]["spec"]["selector"]["matchLabels"] for each in (RUNTIME, API)]

    for topology in ("Combined", "Split"):
        there = everything(replace(inputs(topology=topology, **spec), postgres=given))
        name = Key(NETWORK_POLICY, "team", f"support-{managed}")
        policy = next(each for each in there if key_of(each) == name)
        peers = [each["podSelector"]["matchLabels"] for each in policy["spec"]["ingress"][0]["from"]]
        assert [peer for peer in peers if peer in chosen] == chosen


@pytest.mark.parametrize("topology", ["Combined", "Split"])
def test_a_service_that_keeps_its_topology_is_held_up_by_nothing(topology: str) -> None:
    there = wanted(topology=topology)

    assert not kept(KEY, there, [], [], split=topology == "Split", some_wanted=True)
    assert not kept(KEY, {}, [], [], split=topology == "Split", some_wanted=True)


# What the status says


def view(*pods: Manifest, api: tuple[Manifest, ...] = (), replicas: int = 1, **more: Any) -> ObservedService:
    apart = split()
    usual = {
        "service": inputs(topology="Split").service,
        "deployment": as_it_runs(apart[RUNTIME], replicas),
        "pods": pods,
        "api_deployment": as_it_runs(apart[API], 1),
        "api_pods": api,
        "leads_to_api": True,
    }
    return ObservedService(**(usual | more))


def said(condition: Any) -> tuple[str, str]:
    return condition.status, condition.reason


def test_a_service_without_a_replica_that_executes_is_ready_while_some_answer() -> None:
    apart = split()
    answers, worker = pod(apart[API]), pod(apart[RUNTIME])
    late = pod(apart[RUNTIME], takes_work=False)

    idle = view(api=(answers,), replicas=0)

    assert said(ready(idle)) == ("True", "Serving")
    assert ready(idle).message == "1 of 1 replicas answer requests, 0 of 0 execute runs"
    assert said(progressing(idle)) == ("False", "Complete")
    assert said(ready(view(late, api=(answers,)))) == ("True", "Serving")
    assert said(progressing(view(late, api=(answers,)))) == ("True", "Starting")
    assert said(ready(view(worker))) == ("False", "Starting")


def test_replicas_that_can_not_execute_make_the_service_unready_though_others_answer() -> None:
    apart = split()
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such tag"}}
    stuck = pod(
        apart[RUNTIME],
        takes_work=False,
        containerStatuses=[
            {"name": "runtime", "image": "example.com/support:1", "ready": False, "state": waiting}
        ],
    )

    assert said(ready(view(stuck, api=(pod(apart[API]),)))) == ("False", "ImagePullBackOff")


def test_while_requests_still_come_to_replicas_that_do_both_these_make_the_service_ready() -> None:
    both = pod(wanted()[RUNTIME])

    changing = view(both, leads_to_api=False)

    assert said(ready(changing)) == ("True", "Serving")
    assert not changing.settled


def test_the_status_counts_the_two_kinds_apart() -> None:
    apart = split()
    seen = view(api=(pod(apart[API]), pod(apart[API], takes_work=False)), replicas=0)

    status = status_of(seen, ScalingView(), {}, NOW)

    assert status["api"] == {"replicas": 2, "readyReplicas": 1, "desiredReplicas": 1}
    assert (status["replicas"], status["readyReplicas"], status["desiredReplicas"]) == (0, 0, 0)
    assert "component=runtime" in status["selector"]
    assert "api" not in status_of(view(service=inputs().service), ScalingView(), {}, NOW)


def test_a_paused_service_is_ready_while_its_replicas_answer_whatever_executes() -> None:
    answers = pod(split()[API])
    before = status_of(view(api=(answers,), replicas=0), ScalingView(), {}, NOW)

    status = halted_status(before, 2, Diagnosis("Paused", "paused"), (), NOW, api_pods=(answers,))

    first = next(each for each in status["conditions"] if each["type"] == "Ready")
    assert (first["status"], first["reason"]) == ("True", "Paused")
    assert (status["readyReplicas"], status["api"]["readyReplicas"]) == (0, 1)
