"""What `lgs up` makes of a manifest whose replicas stand apart on a cluster."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lgs_operator.local.service import Options, read
from support.up import Up, up_with_example

MANIFEST = """
apiVersion: lgs.dev/v1alpha1
kind: LangGraphService
metadata: {name: tried}
spec:
  source: {folder: .}
  graphs: {agent: ./graph.py:graph}
  topology: Split
  scaling: {minReplicas: 0, maxReplicas: 4, scaleDown: {idleSeconds: 10}}
"""


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    with up_with_example(tmp_path / "tried", MANIFEST) as it:
        yield it


def test_a_split_service_is_played_by_replicas_that_do_both_and_by_one_at_least(tmp_path: Path) -> None:
    (tmp_path / "service.yaml").write_text(MANIFEST)

    service = read(Options(tmp_path / "service.yaml", python=Path(sys.executable), env={}))

    assert (service.policy.min_replicas, service.policy.max_replicas) == (1, 4)
    assert "LGS_ROLE" not in service.env
    assert any("spec.topology is for a cluster" in note for note in service.notes)
    assert any("spec.scaling.minReplicas is 0: for a cluster" in note for note in service.notes)


def test_what_is_said_of_a_rollout_and_of_the_database_is_of_what_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "service.yaml").write_text(f"{MANIFEST}  rollout: {{strategy: Canary}}\n")
    options = Options(tmp_path / "service.yaml", python=Path(sys.executable), env={})

    notes = read(options).notes
    others = read(replace(options, database_uri="postgres://me:hush@db/x")).notes

    assert any(note.startswith("spec.rollout is for a cluster: ") for note in notes)
    assert "sessions are kept in the database of --database-uri" in others
    assert not any("hush" in note for note in others)


def test_a_split_service_that_may_be_at_zero_is_served_here(up: Up) -> None:
    up.manifest.write_text(MANIFEST.replace("maxReplicas: 4", "maxReplicas: 1"))
    up.serve()
    thread, run = up.session(steps=1, step_seconds=0.1)
    up.wait(lambda: up.status(thread, run) == "success")

    assert up.said("spec.topology is for a cluster")
    assert up.said("minReplicas is 0: for a cluster")
    assert len(up.workers()) == 1
