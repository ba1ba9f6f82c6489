"""Of an object all that is read is kept, and what those of other services have, too, only once."""

from __future__ import annotations

import copy
import gc
from typing import Any

from lgs_operator.contests import contested
from lgs_operator.desired.deployment import deployment as wanted_of
from lgs_operator.kube.drift import covers
from lgs_operator.kube.kept_object import kept_object
from lgs_operator.kube.kinds import Manifest
from lgs_operator.kube.sharing import _parts, shared
from lgs_operator.monitoring_pack import _ours
from lgs_operator.reconcile_plan import owner_uid, scaler_owns_replicas, signature_of, taken_by
from support.desired import inputs_of

TIME = "2026-01-01T00:00:00Z"


def written_by(manager: str, fields: Manifest, **more: Any) -> Manifest:
    entry = {"manager": manager, "operation": "Apply", "apiVersion": "v1", "time": TIME}
    return entry | {"fieldsType": "FieldsV1", "fieldsV1": fields} | more


def wanted(name: str) -> Manifest:
    made = wanted_of(inputs_of(name))
    return copy.deepcopy(made)


def deployment(name: str, uid: str) -> Manifest:
    """As the API server has one."""
    made = wanted(name)
    text = made["metadata"] | {"name": name, "uid": uid, "resourceVersion": "7", "generation": 3}
    made["metadata"] = text | {
        "managedFields": [
            written_by("lgs-operator", {"f:spec": {"f:template": {"f:spec": {}}}, "f:metadata": {}}),
            written_by("lgs-autoscaler", {"f:spec": {"f:replicas": {}}}),
            written_by("lgs-operator", {"f:data": {"f:board.json": {}}}),
            written_by("kubectl-edit", {"f:spec": {"f:paused": {}}}, operation="Update", time="2026-01-02"),
            written_by("controller", {"f:status": {"f:replicas": {}}}, subresource="status"),
        ],
    }
    return made | {"status": {"replicas": 1, "conditions": [{"type": "Available", "status": "True"}]}}


def test_all_of_an_object_is_kept_but_which_fields_others_wrote() -> None:
    given = deployment("support", "u-1")
    before = copy.deepcopy(given)

    kept = kept_object(given)

    assert given == before
    assert kept_object(kept) == kept
    writers = kept["metadata"].pop("managedFields")
    assert [each["manager"] for each in writers] == [
        each["manager"] for each in before["metadata"].pop("managedFields")
    ]
    assert kept == before


def test_what_is_read_of_who_wrote_is_kept() -> None:
    given = deployment("support", "u-1")
    kept = kept_object(given)

    assert scaler_owns_replicas(kept)
    assert contested([kept]) == contested([given])
    assert "kubectl-edit" in contested([kept])
    for read in (owner_uid, signature_of, lambda each: taken_by(each, "u-2", "support")):
        assert read(kept) == read(given)
    assert covers(kept, wanted("support"))
    config_map = {"metadata": {"managedFields": given["metadata"]["managedFields"][2:3]}}
    assert _ours(kept_object(config_map | {"kind": "ConfigMap"})).keys() == {"f:board.json"}


def test_what_two_services_have_in_common_is_kept_once() -> None:
    one, other = (kept_object(deployment(name, name)) for name in ("support", "billing"))

    (here,), (there,) = (each["spec"]["template"]["spec"]["containers"] for each in (one, other))
    assert here["livenessProbe"] is there["livenessProbe"]
    assert here["volumeMounts"] is there["volumeMounts"]
    assert one["metadata"]["labels"] is not other["metadata"]["labels"]


def test_what_nobody_has_any_more_is_not_kept() -> None:
    kept = kept_object({"metadata": {"name": "a"}, "data": {"b": {"c": "what only this one has"}}})
    there = len(_parts)

    del kept
    gc.collect()

    assert len(_parts) < there


def test_values_of_other_types_are_other_values() -> None:
    values: list[Any] = [{"a": 1}, {"a": True}, {"a": 1.0}, {"a": "1"}, {"a": None}, ["a", 1], ["a", True]]

    kept = [shared(each) for each in values]

    assert [repr(each) for each in kept] == [repr(each) for each in values]


def test_what_is_nested_as_deeply_as_the_api_server_takes_it_is_kept() -> None:
    deep: dict[str, Any] = {}
    for _ in range(3000):
        deep = {"a": deep}

    assert kept_object({"metadata": {"name": "a"}, "data": deep})["data"] is deep
