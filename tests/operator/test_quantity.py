"""The same amount is the same, however it is written; and what only has the form of an amount is a text."""

from __future__ import annotations

from typing import Any

import pytest

from lgs_operator.kube.drift import covers


def container(**resources: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "runtime", "resources": {"limits": resources}}]}}


@pytest.mark.parametrize(
    ("wanted", "live"),
    [
        ("0.5", "500m"),
        (".5", "500m"),
        ("1024Mi", "1Gi"),
        ("1000m", "1"),
        (2, "2"),
        (0.25, "250m"),
        ("1.5Gi", "1536Mi"),
        ("1e3", "1k"),
        ("1E3", "1k"),
        ("1E", "1000P"),
        ("+1", "1"),
        ("100000u", "100m"),
        ("0.00000000001", "1m"),
        ("8Ei", "9223372036854775807"),
        ("999999999999Pi", "9223372036854775807"),
    ],
)
def test_a_quantity_that_kubernetes_writes_otherwise_is_no_drift(wanted: Any, live: str) -> None:
    assert covers(container(memory=live), container(memory=wanted))


@pytest.mark.parametrize(
    ("wanted", "live"),
    [("0.5", "501m"), ("1Gi", "1G"), ("1", "1m"), ("1", "-1"), ("1", None), ("1", "much"), ("1" * 5000, "1")],
)
def test_another_quantity_is_drift(wanted: Any, live: Any) -> None:
    assert not covers(container(memory=live), container(memory=wanted))


def test_sizes_and_divisors_are_quantities_too() -> None:
    claim = {"spec": {"resources": {"requests": {"storage": "1024Gi"}}}}
    memory = {"emptyDir": {"sizeLimit": "1024Mi"}}
    finest = {"valueFrom": {"resourceFieldRef": {"divisor": "0.1n"}}}
    divided = {"valueFrom": {"resourceFieldRef": {"divisor": "0.001"}}}

    assert covers({"spec": {"resources": {"requests": {"storage": "1Ti"}}}}, claim)
    assert covers({"emptyDir": {"sizeLimit": "1Gi"}}, memory)
    assert covers({"valueFrom": {"resourceFieldRef": {"divisor": "1m"}}}, divided)
    assert covers({"valueFrom": {"resourceFieldRef": {"divisor": "1n"}}}, finest)


def test_a_text_that_looks_like_a_quantity_is_compared_as_a_text() -> None:
    variable = {"env": [{"name": "SHARE", "value": "0.5"}]}
    labels = {"metadata": {"labels": {"sizeLimit": "1024Mi"}}}

    assert not covers({"env": [{"name": "SHARE", "value": "500m"}]}, variable)
    assert not covers({"metadata": {"labels": {"sizeLimit": "1Gi"}}}, labels)
