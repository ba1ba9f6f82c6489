"""`LGS_CIRCUIT_BREAKER`, as a manifest's `spec.circuitBreaker` is written into it."""

from __future__ import annotations

import pytest

from lgs_runtime.breaker.policy import Policy
from lgs_runtime.errors import ConfigError
from lgs_runtime.graphs.circuit_section import GraphPolicy, parse_circuits

GRAPHS = ["agent", "search"]


def test_without_the_variable_no_graph_has_a_circuit() -> None:
    assert parse_circuits("", GRAPHS) == {}


def test_a_graph_has_what_all_have_but_for_what_is_its_own() -> None:
    text = """{"failureThreshold": 0.2, "probes": 2, "ignore": ["A"],
               "graphs": {"agent": {"probes": 5, "ignore": ["B", "C"]}}}"""

    found = parse_circuits(text, GRAPHS)

    assert found["search"] == GraphPolicy(Policy(failure_threshold=0.2, probes=2), ("A",))
    assert found["agent"] == GraphPolicy(Policy(failure_threshold=0.2, probes=5), ("B", "C"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "LGS_CIRCUIT_BREAKER: {: must be JSON"),
        ("[]", "LGS_CIRCUIT_BREAKER: []: must be an object"),
        ('{"threshold": 1}', "LGS_CIRCUIT_BREAKER.threshold: unknown: must be one of failureThreshold"),
        (
            '{"failureThreshold": -0.1}',
            "LGS_CIRCUIT_BREAKER.failureThreshold: -0.1: must be above 0 and at most 1",
        ),
        ('{"recoverySeconds": 0}', "LGS_CIRCUIT_BREAKER.recoverySeconds: 0: must be above 0"),
        ('{"windowSeconds": "60"}', 'LGS_CIRCUIT_BREAKER.windowSeconds: "60": must be a number'),
        ('{"probes": 0}', "LGS_CIRCUIT_BREAKER.probes: 0: must be at least 1"),
        ('{"ignore": [""]}', 'LGS_CIRCUIT_BREAKER.ignore: "": must be the name of an exception'),
        (
            '{"graphs": {"agent": {"ignore": ["A, B"]}}}',
            'LGS_CIRCUIT_BREAKER.graphs.agent.ignore: "A, B": must be the name of an exception',
        ),
        ('{"ignore": "A"}', "LGS_CIRCUIT_BREAKER.ignore: 'A': must be a list of strings"),
        (
            '{"graphs": {"agnet": {}}}',
            "LGS_CIRCUIT_BREAKER.graphs.agnet: unknown: must be one of agent, search",
        ),
        (
            '{"graphs": {"agent": {"minimumCalls": 0}}}',
            "LGS_CIRCUIT_BREAKER.graphs.agent.minimumCalls: 0: must be at least 1",
        ),
        ('{"graphs": {"agent": 3}}', "LGS_CIRCUIT_BREAKER.graphs.agent: 3: must be an object"),
    ],
)
def test_what_can_not_work_is_told_by_name_value_and_rule(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_circuits(text, GRAPHS)

    assert str(refused.value).startswith(said)
