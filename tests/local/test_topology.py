"""What `lgs up` makes of a manifest whose replicas stand apart on a cluster."""

from __future__ import annotations

import sys
from pathlib import Path

from lgs_operator.local.service import Options, read

MANIFEST = """
apiVersion: lgs.dev/v1alpha1
kind: LangGraphService
metadata: {name: support}
spec:
  source: {folder: .}
  graphs: {agent: ./graph.py:graph}
  topology: Split
  scaling: {minReplicas: 0, maxReplicas: 4}
"""


def test_a_split_service_is_played_by_replicas_that_do_both_and_by_one_at_least(tmp_path: Path) -> None:
    (tmp_path / "service.yaml").write_text(MANIFEST)

    service = read(Options(tmp_path / "service.yaml", python=Path(sys.executable), env={}))

    assert (service.policy.min_replicas, service.policy.max_replicas) == (1, 4)
    assert "LGS_ROLE" not in service.env
    assert any("spec.topology is for a cluster" in note for note in service.notes)
