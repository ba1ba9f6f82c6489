"""Finds fields of a manifest that name graphs which do not exist, if the graphs are known. A manifest may
leave them to the `langgraph.json` beside the code, which the rules of the manifest can't read.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from lgs_crds import Problem, Spec
from lgs_operator.application.target import CONFIG


def check_names(spec: Spec, graphs: Collection[str]) -> list[Problem]:
    """A problem for each graph in `spec.cache.answers` or `spec.circuitBreaker.graphs` that is not among
    `graphs`; empty if these are not known."""
    if not graphs:
        return []
    circuits = spec.circuit_breaker.graphs if spec.circuit_breaker else {}
    fields = (("spec.cache.answers", spec.cache.answers), ("spec.circuitBreaker.graphs", circuits))
    rule = f"must be a graph; the graphs are: {', '.join(graphs)}"
    return [Problem(path, rule, name) for path, named in fields for name in named if name not in graphs]


def config_of(spec: Spec, folder: Path) -> Path:
    """The file that names the graphs of a service whose code is in `folder`, whether or not it exists."""
    given = [each.value for each in spec.pod.env if each.name == "LGS_CONFIG" and each.value]
    return folder / (given[-1] if given else CONFIG)
