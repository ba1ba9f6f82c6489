"""What is sent to the API server arrives as it was meant."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from lgs_operator.kube.yaml_body import as_yaml
from support.drawn_manifests import examples

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@examples(200)
@given(st.dictionaries(TEXTS, TEXTS | st.lists(TEXTS) | st.integers() | st.booleans(), max_size=4))
@example({"message": "🚀 failed \x00\x7f\x85\u2028\ufeff\uffff \\ud83d \" ' : # é"})
def test_any_text_reaches_the_api_server_which_reads_yaml(manifest: dict[str, Any]) -> None:
    assert yaml.safe_load(as_yaml(manifest)) == manifest


@pytest.mark.parametrize("half", ["\ud83d", "\ud800", "\udbff", "\udc00", "\udfff"])
def test_half_a_character_is_told_as_unknown(half: str) -> None:
    """A pod's answer can hold one, and half a pair is nothing that can be sent."""
    assert yaml.safe_load(as_yaml({"message": f"a{half}b"})) == {"message": "a\ufffdb"}
