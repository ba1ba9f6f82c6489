"""A manifest that takes more memory than others can spare is refused, and telling so takes none."""

from __future__ import annotations

from typing import Any

import pytest

from lgs_crds import ManifestError, parse
from lgs_crds.weight import A_VALUE, MOST_BYTES, is_too_large

MANY = MOST_BYTES // A_VALUE


def manifest(**spec: Any) -> dict[str, Any]:
    head = {"apiVersion": "lgs.dev/v1alpha1", "kind": "LangGraphService", "metadata": {"name": "support"}}
    return head | {"spec": {"image": "example.com/support:1"} | spec}


@pytest.mark.parametrize(
    ("value", "too_large"),
    [
        (None, False),
        ("x" * (MOST_BYTES - A_VALUE), False),
        ("x" * MOST_BYTES, True),
        ([0] * (MANY - 1), False),
        ([0] * MANY, True),
        ([{}] * 400_000, True),
        ({f"k{number}": 1 for number in range(MANY)}, True),
        ({"k" * MOST_BYTES: 1}, True),
        ({5: {True: [None, 1.5]}}, False),
        ([[["x" * 1000] * 10] * 10] * 10, True),
        ([[["x" * 1000] * 10] * 9] * 9, False),
    ],
)
def test_each_value_counts_with_its_text(value: object, too_large: bool) -> None:
    assert is_too_large(value) is too_large


def test_a_manifest_of_many_empty_mappings_is_refused_as_such() -> None:
    with pytest.raises(ManifestError) as refused:
        parse(manifest(cache={"warmup": {"inputs": [{"input": {"a": [{}] * 400_000}}]}}))

    assert str(refused.value.problems[0]).startswith("spec: must be smaller: at most 1048576 bytes")


def test_thousands_of_problems_are_each_told_once() -> None:
    """To compare each with each took minutes."""
    with pytest.raises(ManifestError) as refused:
        parse(manifest(**{f"unknown{number}": 1 for number in range(5000)}))

    assert len(refused.value.problems) == 5000
