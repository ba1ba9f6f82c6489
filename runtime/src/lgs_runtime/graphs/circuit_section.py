"""`LGS_CIRCUIT_BREAKER`: the circuit breakers around graphs, as JSON in the form of a manifest's
`spec.circuitBreaker`. A broken rule is a `ConfigError` with the message `name: value: rule`."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lgs_runtime.breaker.policy import InvalidPolicy, Policy
from lgs_runtime.checks import Gathered, checked_object, json_of, texts_of
from lgs_runtime.errors import ConfigError

VARIABLE: Final = "LGS_CIRCUIT_BREAKER"
FIELDS: Final = {
    "failureThreshold": "failure_threshold",
    "minimumCalls": "minimum_calls",
    "windowSeconds": "window_seconds",
    "recoverySeconds": "recovery_timeout",
    "probes": "probes",
    "slowCallSeconds": "slow_call_seconds",
    "slowCallThreshold": "slow_call_threshold",
}
"""Names in the section, and the policy's names for them."""
OWN: Final = (*FIELDS, "ignore")
ERROR_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
"""Same as the manifest's: another text names no exception, and would have no effect."""


@dataclass(frozen=True, slots=True)
class GraphPolicy:
    """When the circuit around a graph opens."""

    policy: Policy
    ignore: tuple[str, ...] = ()
    """Names of exceptions, with or without their module, that make a run fail without any fault of the
    graph."""


def parse_circuits(text: str, graphs: Collection[str]) -> Mapping[str, GraphPolicy]:
    """The policy of each graph; empty without the variable. Raises `ConfigError`."""
    if not text:
        return {}
    found = Gathered()
    section = found.entries(json_of(text, VARIABLE), (*OWN, "graphs"), VARIABLE)
    of_graphs = found.entries(section.get("graphs"), graphs, f"{VARIABLE}.graphs")
    common = {name: value for name, value in section.items() if name != "graphs"}
    usual = GraphPolicy(Policy())
    policies = {graph: found.read(usual, _policy_of, common, of_graphs.get(graph), graph) for graph in graphs}
    found.done()
    return policies


def _policy_of(common: Mapping[str, Any], own: Any, graph: str) -> GraphPolicy:
    where = f"{VARIABLE}.graphs.{graph}"
    own = checked_object(own, OWN, where)
    given = {**common, **own}
    ignored = f"{where if 'ignore' in own else VARIABLE}.ignore"
    values = {FIELDS[name]: value for name, value in given.items() if name in FIELDS and value is not None}
    names = texts_of(given.get("ignore"), ignored)
    for name in names:
        if not ERROR_NAME.fullmatch(name):
            rule = "must be the name of an exception's class, with its module or without"
            raise ConfigError(f"{ignored}: {json.dumps(name)}: {rule}")
    try:
        return GraphPolicy(Policy(**values), names)
    except InvalidPolicy as invalid:
        name = next(name for name, ours in FIELDS.items() if ours == invalid.name)
        place = where if name in own else VARIABLE
        raise ConfigError(f"{place}.{name}: {json.dumps(invalid.value)}: {invalid.rule}") from None
