"""Of pods all that is read is kept, and what all replicas have only once."""

from __future__ import annotations

import copy
import gc
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hypothesis import given

from lgs_operator.desired.revision import is_canary, revision_of
from lgs_operator.kube.kept_pod import kept_pod
from lgs_operator.kube.pods import (
    created_at,
    has_node_since,
    image_digest,
    is_ended,
    is_ready,
    reads_secret,
    result_of,
    startup_seconds,
    url_of,
    waits_to_start,
)
from lgs_operator.kube.sharing import _parts
from lgs_operator.status.diagnosis import Budget, diagnose_pod, not_ready_beside
from lgs_operator.status.node_words import held_up
from support.drawn_pods import pods

NOW = datetime(2026, 1, 2, tzinfo=UTC)
RUNNING = {"running": {"startedAt": "2026-01-01T00:00:02Z"}}
FAILED = {"terminated": {"exitCode": 1, "reason": "Error", "message": "no disk", "signal": 9}}
ENDED = {"terminated": {"exitCode": 0, "message": '{"size": 3}', "containerID": "containerd://1"}}


def pod(name: str, image: str = "example.com/support:1", state: Any = None, **fields: Any) -> dict[str, Any]:
    """A replica that takes work, with all that the API server says of it."""
    said = {
        "name": "runtime",
        "image": image,
        "imageID": f"{image}@sha256:{'0' * 64}",
        "containerID": f"containerd://{name}",
        "ready": True,
        "started": True,
        "restartCount": 0,
        "state": state or RUNNING,
        "lastState": {},
        "resources": {"requests": {"cpu": "1"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "generateName": "support-",
            "namespace": "team",
            "uid": name,
            "resourceVersion": "7",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"lgs.dev/service": "support", "lgs.dev/revision": "3"},
            "annotations": {"controller.kubernetes.io/pod-deletion-cost": "1"},
            "managedFields": [{"manager": "kubelet", "fieldsV1": {"f:status": {}}}],
        },
        "spec": {
            "hostNetwork": False,
            "containers": [{"name": "runtime", "image": image, "env": [{"name": "A", "value": "1"}]}],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        },
        "status": {
            "phase": "Running",
            "hostIP": "10.1.0.1",
            "podIP": "10.0.0.1",
            "podIPs": [{"ip": "10.0.0.1"}],
            "qosClass": "Burstable",
            "startTime": "2026-01-01T00:00:00Z",
            "conditions": [
                {
                    "type": each,
                    "status": "True",
                    "lastProbeTime": None,
                    "lastTransitionTime": "2026-01-01T00:00:05Z",
                }
                for each in ("Initialized", "Ready", "PodScheduled")
            ],
            "containerStatuses": [said | fields],
        },
    }


def read_of(pod: dict[str, Any]) -> tuple[object, ...]:
    """All that is read of a pod."""
    heads = ("name", "namespace", "uid", "resourceVersion", "labels", "annotations", "deletionTimestamp")
    budget = Budget("spec.pod.resources", None)
    return (
        *(read(pod) for read in (is_ready, is_ended, waits_to_start, result_of, created_at, startup_seconds)),
        *(read(pod) for read in (has_node_since, revision_of, is_canary, not_ready_beside)),
        *(pod["metadata"].get(name) for name in heads),
        pod.get("status", {}).get("phase"),
        pod.get("spec"),
        "spec" in pod and reads_secret(pod, "database"),
        image_digest(pod, "runtime"),
        url_of(pod, "/metrics"),
        _or_error(lambda: diagnose_pod(pod, budget)),
        held_up([pod], NOW) is not None,
    )


def _or_error(read: Any) -> object:
    """What is read, or which field is missing."""
    try:
        return read()
    except KeyError as error:
        return str(error)


class Watched(dict[str, Any]):
    """A map that notes which of its fields are asked for."""

    def __init__(self, fields: Mapping[str, Any], path: str, asked: set[str]) -> None:
        super().__init__({name: watched(each, f"{path}.{name}", asked) for name, each in fields.items()})
        self._path = path
        self._asked = asked

    def __getitem__(self, name: str) -> Any:
        self._asked.add(f"{self._path}.{name}")
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self._asked.add(f"{self._path}.{name}")
        return super().get(name, default)

    def __contains__(self, name: object) -> bool:
        self._asked.add(f"{self._path}.{name}")
        return super().__contains__(name)


def watched(value: Any, path: str, asked: set[str]) -> Any:
    if isinstance(value, dict):
        return Watched(value, path, asked)
    return [watched(each, path, asked) for each in value] if isinstance(value, list) else value


def paths_of(value: Any, path: str = "") -> set[str]:
    """Where fields of a value stand."""
    if isinstance(value, list):
        return set[str]().union(*(paths_of(each, path) for each in value))
    if not isinstance(value, dict):
        return set()
    here = {f"{path}.{name}" for name in value}
    return here.union(*(paths_of(each, f"{path}.{name}") for name, each in value.items()))


STATES = (
    pod("running"),
    pod("failed", state=FAILED, ready=False, started=False),
    pod("before", ready=False, started=False, lastState=FAILED),
    pod("waiting", state={"waiting": {"reason": "ErrImagePull", "message": "none"}}, ready=False),
    pod("ended", state=ENDED, ready=False),
)


def test_what_is_read_of_a_pod_is_kept() -> None:
    for each in STATES:
        before = copy.deepcopy(each)

        kept = kept_pod(each)

        assert each == before
        assert read_of(kept) == read_of(each)
        assert kept_pod(kept) == kept


def test_each_field_that_is_asked_for_is_kept_where_the_api_server_has_it() -> None:
    asked = set[str]()
    for each in STATES:
        read_of(watched(each, "", asked))
    there = set[str]().union(*(paths_of(each) for each in STATES))
    kept = set[str]().union(*(paths_of(kept_pod(each)) for each in STATES))

    assert {".status.containerStatuses.started", ".status.conditions.type"} <= asked & there
    assert asked & there <= kept


@given(pods())
def test_whatever_state_pods_are_in_the_same_is_read(drawn: tuple[dict[str, Any], ...]) -> None:
    for each in drawn:
        assert read_of(kept_pod(each)) == read_of(each)


def test_pods_of_one_template_share_it_and_others_do_not() -> None:
    one, other, newer = (kept_pod(each) for each in (pod("a"), pod("b"), pod("c", "example.com/support:2")))

    assert one["spec"] is other["spec"]
    assert one["metadata"]["labels"] is other["metadata"]["labels"]
    assert one["status"]["containerStatuses"] is other["status"]["containerStatuses"]
    assert one["spec"]["containers"] is not newer["spec"]["containers"]
    assert one["spec"]["volumes"] is newer["spec"]["volumes"]


def test_what_no_pod_has_any_more_is_not_kept() -> None:
    kept = kept_pod(pod("a", "example.com/gone:1"))
    there = len(_parts)

    del kept
    gc.collect()

    assert len(_parts) < there


def test_a_pod_without_a_spec_is_kept() -> None:
    assert kept_pod({"metadata": {"name": "a"}}) == {"metadata": {"name": "a"}}
