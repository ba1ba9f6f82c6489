"""docs/data.md: each manifest that it shows is one that is taken, and its commands are those that tests
run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from lgs_crds import parse

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text("utf-8")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
BY_HAND = "kubectl create job --from=cronjob/support-backup before-the-change"
"""What tests/controlplane/test_backup.py and the story on a cluster do."""


def manifests() -> list[dict[str, Any]]:
    """The services that the page shows, filled up to whole ones. A block that is indented goes into
    `managed`."""
    found = []
    for block in BLOCKS:
        if block.startswith(" "):
            found.append({"spec": {"persistence": {"postgres": {"managed": yaml.safe_load(block)}}}})
            continue
        shown = [each for each in yaml.safe_load_all(block) if isinstance(each, dict)]
        found += [each for each in shown if each.get("kind", "LangGraphService") == "LangGraphService"]
    return found


@pytest.mark.parametrize("shown", manifests())
def test_each_manifest_that_is_shown_is_taken(shown: dict[str, Any]) -> None:
    whole = {
        "apiVersion": "lgs.dev/v1alpha1",
        "kind": "LangGraphService",
        "metadata": {"name": "support"},
    } | shown
    whole["spec"] = {"image": "support:1"} | whole["spec"]

    assert parse(whole, on_cluster=True).spec.persistence.postgres is not None


def test_the_backup_by_hand_is_made_as_it_is_shown() -> None:
    tests = Path(__file__).parents[1]
    words = shlex.split(BY_HAND)[1:4]

    assert f"`{BY_HAND}`" in PAGE
    for path in ("controlplane/test_backup.py",):
        assert all(word in (tests / path).read_text("utf-8") for word in words)
