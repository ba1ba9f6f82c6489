"""What one tenant writes into a service takes no memory from others."""

from __future__ import annotations

import json
from typing import Any

from lgs_operator.kube.kept_service import TOO_LARGE, kept_service


def body(spec: Any, **metadata: Any) -> dict[str, Any]:
    head = {"name": "support", "namespace": "team", "uid": "u", "generation": 3, "resourceVersion": "7"}
    return {"metadata": head | metadata, "spec": spec, "status": {"replicas": 1}}


def test_a_service_is_kept_as_it_is_but_for_what_nobody_reads() -> None:
    wanted = {
        "annotations": {"lgs.dev/rotate-password": "1"},
        "finalizers": ["a/b"],
        "deletionTimestamp": "now",
    }
    unread = {"managedFields": [{"fieldsV1": {}}], "labels": {"a": "b"}, "ownerReferences": [{}]}

    assert kept_service(body({"image": "i"}, **wanted, **unread)) == body({"image": "i"}, **wanted)


def test_of_a_spec_that_is_too_large_its_class_stays() -> None:
    kept = kept_service(body({"operatorClass": "mine", "cache": [{}] * 400_000}))

    assert kept["spec"] == {"operatorClass": "mine"}
    assert kept[TOO_LARGE]
    assert kept["status"] == {"replicas": 1}, "what it said is known"


def test_whatever_is_large_is_small_afterwards() -> None:
    for spec in ({"operatorClass": "x" * 2_000_000}, [{}] * 400_000, {"operatorClass": [{}] * 400_000}):
        kept = kept_service(body(spec, finalizers=["f" * 300_000, *(f"f-{n}" for n in range(9000))]))

        assert len(json.dumps(kept)) < 5000
