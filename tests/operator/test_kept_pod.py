"""Of pods what all replicas have is kept once, and nothing that is read is lost."""

from __future__ import annotations

import copy
import gc
from typing import Any

from lgs_operator.kube.kept_pod import _lists, kept_pod


def pod(name: str, image: str = "example.com/support:1") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"a": "b"}, "managedFields": [{"manager": "kubelet"}]},
        "spec": {
            "nodeName": name,
            "hostNetwork": False,
            "containers": [{"name": "runtime", "image": image, "env": [{"name": "A", "value": "1"}]}],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        },
        "status": {"podIP": "10.0.0.1"},
    }


def test_all_of_a_pod_is_kept_but_who_wrote_it() -> None:
    given = pod("support-1")
    before = copy.deepcopy(given)

    kept = kept_pod(given)

    assert given == before
    del before["metadata"]["managedFields"]
    assert kept == before
    assert kept_pod(kept) == kept


def test_pods_of_one_template_share_it_and_others_do_not() -> None:
    one, other, newer = (kept_pod(each) for each in (pod("a"), pod("b"), pod("c", "example.com/support:2")))

    assert one["spec"]["containers"] is other["spec"]["containers"]
    assert one["spec"]["containers"] is not newer["spec"]["containers"]
    assert one["spec"]["volumes"] is newer["spec"]["volumes"]


def test_what_no_pod_has_any_more_is_not_kept() -> None:
    kept = kept_pod(pod("a", "example.com/gone:1"))
    there = len(_lists)

    del kept
    gc.collect()

    assert len(_lists) < there


def test_a_pod_without_a_spec_is_kept() -> None:
    assert kept_pod({"metadata": {"name": "a"}}) == {"metadata": {"name": "a"}}
