"""Rules of fields that name graphs: each must be one of `spec.graphs`. Without `spec.graphs` these rules
check nothing, as the graphs are then those of a langgraph.json, which only the replica reads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from lgs_crds.errors import Problem
from lgs_crds.model.service import Spec
from lgs_crds.rules.rule import Check, Rule

NO_SUCH_GRAPH = "must be a graph of spec.graphs"
NO_GRAPHS = "!has(self.graphs) || size(self.graphs) == 0"


def graphs_rule(parts: tuple[str, str], check: Check) -> Rule:
    """The rule that each key of the mapping at the path `parts` is a graph of the service."""
    path = ".".join(parts)
    return Rule(
        "",
        f"{NO_GRAPHS} || !has(self.{parts[0]}) || !has(self.{path})"
        f" || self.{path}.all(each, each in self.graphs)",
        f"'spec.{path}: ' + self.{path}.filter(each, !(each in self.graphs))[0] + ': {NO_SUCH_GRAPH}'",
        check,
    )


def unknown_graph(spec: Spec, path: str, named: Iterable[str]) -> Problem | None:
    """The problem of the first graph in `named`, by name, that the service does not have;
    `path` names the field."""
    unknown = sorted(set(named) - set(spec.graphs)) if spec.graphs else []
    return Problem(path, NO_SUCH_GRAPH, unknown[0]) if unknown else None


def _circuits_of_graphs(spec: Spec) -> Problem | None:
    own = spec.circuit_breaker.graphs if spec.circuit_breaker else {}
    return unknown_graph(spec, "spec.circuitBreaker.graphs", own)


RULES: Final = (graphs_rule(("circuitBreaker", "graphs"), _circuits_of_graphs),)
