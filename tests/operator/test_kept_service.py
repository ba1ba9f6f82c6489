"""What one tenant writes into a service takes no memory from others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lgs_crds import API_VERSION, KIND, ManifestError, parse
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


def test_of_a_spec_that_is_too_deep_no_more_is_kept_than_shows_it() -> None:
    """Two of them may not be comparable: from Python 3.12 on that takes levels which no setting raises."""
    deep: Any = "bottom"
    for level in range(9000):
        deep = [deep] if level % 2 else {"a": deep}

    kept = kept_service(body({"image": "i", "cache": {"warmup": {"inputs": [{"input": deep}]}}}))

    assert kept["spec"]["image"] == "i"
    assert len(json.dumps(kept)) < 2000
    with pytest.raises(ManifestError, match="at most 100 levels"):
        parse({"apiVersion": API_VERSION, "kind": KIND, **kept})
    fits = {"cache": {"warmup": {"inputs": [{"input": {"a": [{"b": 1}]}}]}}}
    assert kept_service(body(fits))["spec"] is fits


def test_whatever_is_large_is_small_afterwards() -> None:
    for spec in ({"operatorClass": "x" * 2_000_000}, [{}] * 400_000, {"operatorClass": [{}] * 400_000}):
        kept = kept_service(body(spec, finalizers=["f" * 300_000, *(f"f-{n}" for n in range(9000))]))

        assert len(json.dumps(kept)) < 5000
