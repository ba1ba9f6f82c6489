"""What `lgs up` traces: by the variables of its own environment. A manifest's collector is a cluster's."""

from __future__ import annotations

import sys
from pathlib import Path

from lgs_operator.local.service import LocalService, Options, read

MANIFEST = """
apiVersion: lgs.dev/v1alpha1
kind: LangGraphService
metadata: {name: support}
spec:
  source: {folder: .}
  graphs: {agent: ./graph.py:graph}
  observability: {tracing: {endpoint: "http://collector.monitoring:4318"}, monitoring: {}}
"""


def up(folder: Path, **env: str) -> LocalService:
    (folder / "service.yaml").write_text(MANIFEST)
    return read(Options(folder / "service.yaml", python=Path(sys.executable), env=env))


def test_the_variables_of_lgs_up_reach_its_replicas(tmp_path: Path) -> None:
    given = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_TRACES_SAMPLER": "always_on"}

    service = up(tmp_path, **given)

    assert {name: text for name, text in service.env.items() if name.startswith("OTEL_")} == given
    assert not any("observability.tracing" in note for note in service.notes)


def test_the_collector_of_a_cluster_is_not_looked_for_and_that_is_said(tmp_path: Path) -> None:
    service = up(tmp_path)

    assert not any(name.startswith("OTEL_") for name in service.env)
    for part in ("tracing", "monitoring"):
        assert any(f"spec.observability.{part} is for a cluster" in note for note in service.notes)
