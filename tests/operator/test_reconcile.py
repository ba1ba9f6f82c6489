"""What is written: only what is missing, changed or too much."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from lgs_operator.kube.drift import covers
from lgs_operator.kube.kinds import Key, Manifest, key_of
from lgs_operator.reconcile_plan import Plan, begins_pods, changed_at_admission, plan


def thing(name: str, kind: str = "Service", **spec: Any) -> Manifest:
    owner = {"kind": "LangGraphService", "name": "support", "uid": "u1", "controller": True}
    api = "apps/v1" if kind == "Deployment" else "v1"
    metadata = {"name": name, "namespace": "team", "ownerReferences": [owner]}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}


def planned(wanted: list[Manifest], live: list[Manifest], **more: Any) -> Plan:
    there = {key_of(each): each for each in live}
    return plan(wanted, there, uid="u1", first_replicas=2, **more)


def written(wanted: list[Manifest]) -> list[Manifest]:
    """What the API server has after a first reconcile."""
    live = deepcopy(list(planned(wanted, []).applies))
    for each in live:
        each["metadata"] |= {"uid": f"of {each['metadata']['name']}", "resourceVersion": "7"}
        each["status"] = {"observed": True}
    return live


def test_what_is_missing_is_written() -> None:
    todo = planned([thing("a", port=1)], [])

    assert [each["metadata"]["name"] for each in todo.applies] == ["a"]
    assert not todo.drifted


def test_a_service_that_is_as_it_should_be_costs_nothing() -> None:
    assert not planned([thing("a", port=1)], written([thing("a", port=1)]))


def test_the_order_in_which_fields_are_said_is_no_change() -> None:
    assert not planned(
        [thing("a", clusterIP="None", port=1)], written([thing("a", port=1, clusterIP="None")])
    )


def test_a_changed_field_is_drift() -> None:
    live = written([thing("a", port=1)])
    live[0]["spec"]["port"] = 2

    assert planned([thing("a", port=1)], live).drifted == (key_of(thing("a")),)


def test_what_a_webhook_makes_of_an_object_is_not_applied_again_and_again() -> None:
    """As one that has images pulled from a mirror."""

    def wanted(image: str) -> Manifest:
        containers = [{"name": "runtime", "image": image, "env": [{"name": "A", "value": "1"}]}]
        return thing("a", "Deployment", replicas=1, containers=containers, args=["x"])

    (applied,) = planned([wanted("r:1")], []).applies
    answer = deepcopy(applied)
    answer["spec"]["containers"][0]["image"] = "mirror/r:1"
    answer["spec"]["containers"].append({"name": "proxy", "image": "p"})
    del answer["metadata"]["annotations"]
    became = changed_at_admission(answer, applied)
    assert became is not None
    known = {key_of(applied): became}

    assert planned([wanted("r:1")], [answer]).applies
    assert not planned([wanted("r:1")], [answer], admitted=known)
    assert planned([wanted("r:2")], [answer], admitted=known).applies
    by_hand = deepcopy(answer)
    by_hand["spec"]["containers"][0]["env"][0]["value"] = "2"
    assert planned([wanted("r:1")], [by_hand], admitted=known).applies
    assert changed_at_admission(deepcopy(applied), applied) is None


def test_a_field_that_is_not_wanted_any_more_is_written_and_is_no_drift() -> None:
    todo = planned([thing("a")], written([thing("a", port=1)]))

    assert todo.applies
    assert not todo.drifted


def test_what_is_too_much_goes() -> None:
    todo = planned([thing("a")], written([thing("a"), thing("b")]))

    assert [each["metadata"]["name"] for each in todo.deletes] == ["b"]


def test_what_belongs_to_another_service_of_the_same_name_stays() -> None:
    other = written([thing("b")])
    other[0]["metadata"]["ownerReferences"][0]["uid"] = "u0"

    assert not planned([thing("a")], written([thing("a")]) + other).deletes


def test_what_is_held_is_neither_written_nor_deleted() -> None:
    held = frozenset({key_of(thing("a"))})

    assert not planned([thing("a", port=1)], [], hold=held)
    assert not planned([], written([thing("a")]), hold=held)


def test_a_new_deployment_starts_with_the_smallest_number() -> None:
    assert planned([thing("a", "Deployment")], []).adopt_replicas == 2


def test_the_number_of_replicas_is_kept_when_the_autoscaler_takes_it_over() -> None:
    live = written([thing("a", "Deployment", replicas=5)])

    assert planned([thing("a", "Deployment")], live).adopt_replicas == 5


def test_pods_begin_with_a_deployment_that_is_written_unless_it_has_fewer_or_none() -> None:
    def begun(wanted: Manifest, live: list[Manifest]) -> frozenset[Key]:
        return begins_pods(planned([wanted], live), {key_of(each): each for each in live})

    three = written([thing("a", "Deployment", replicas=3)])
    none = written([thing("a", "Deployment", replicas=0)])
    key = frozenset({key_of(thing("a", "Deployment"))})

    assert begun(thing("a", "Deployment", replicas=3), []) == key
    assert begun(thing("a", "Deployment"), []) == key, "as many as the autoscaler begins with"
    assert begun(thing("a", "Deployment", replicas=3, image="b"), three) == key
    assert begun(thing("a", "Deployment", replicas=1), none) == key
    assert not begun(thing("a", "Deployment", replicas=3), three)
    assert not begun(thing("a", "Deployment", replicas=2, image="b"), three)
    assert not begun(thing("a", "Deployment", replicas=0), [])
    assert not begun(thing("a", "Deployment"), none), "the autoscaler takes it over, and begins itself"
    assert not begun(thing("a", port=1), [])
    secret = {**thing("a"), "kind": "Secret"}
    del secret["spec"]
    assert not begun({**secret, "data": {"key": "Mg=="}}, written([{**secret, "data": {"key": "MQ=="}}]))


def test_a_volume_that_is_mounted_at_two_places_is_no_drift_and_stays_so_where_admission_changes_it() -> None:
    mounts = [{"name": "data", "mountPath": f"/{each}"} for each in "ab"]
    wanted = thing("a", containers=[{"name": "runtime", "image": "x", "volumeMounts": mounts}])
    (there,) = written([wanted])
    there["spec"]["containers"][0]["image"] = "mirror/x"
    told = changed_at_admission(there, wanted)

    assert not planned([wanted], written([wanted]))
    assert told is not None
    assert told.manifest["spec"]["containers"][0]["volumeMounts"] == mounts


def test_what_others_added_is_no_drift() -> None:
    live = {"containers": [{"name": "sidecar"}, {"name": "runtime", "image": "a", "ports": []}], "extra": 1}

    assert covers(live, {"containers": [{"name": "runtime", "image": "a", "resources": {}}]})
    assert not covers(live, {"containers": [{"name": "runtime", "image": "b"}]})
    assert not covers({"args": ["a", "b"]}, {"args": ["a"]})
