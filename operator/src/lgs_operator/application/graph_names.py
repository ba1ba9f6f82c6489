"""Which fields of a manifest name graphs that are not there, where the graphs are known: a manifest may leave
them to the `langgraph.json` beside the code, which the rules of the manifest alone can't read.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from lgs_crds import Problem, Spec
from lgs_operator.application.target import CONFIG


def check_names(spec: Spec, graphs: Collection[str]) -> list[Problem]:
    """A problem for each graph that `spec.cache.answers` or `spec.circuitBreaker.graphs` names and that is
    none of `graphs`; none where these are not known."""
    if not graphs:
        return []
    circuits = spec.circuit_breaker.graphs if spec.circuit_breaker else {}
    fields = (("spec.cache.answers", spec.cache.answers), ("spec.circuitBreaker.graphs", circuits))
    rule = f"must be a graph; the graphs are: {', '.join(graphs)}"
    return [Problem(path, rule, name) for path, named in fields for name in named if name not in graphs]


def config_of(spec: Spec, folder: Path) -> Path:
    """The file that names the graphs of a service whose code is in `folder`, there or not."""
    given = [each.value for each in spec.pod.env if each.name == "LGS_CONFIG" and each.value]
    return folder / (given[-1] if given else CONFIG)
