"""`LGS_CACHE_WARMUP`, as a manifest's `spec.cache.warmup` is written into it, and the lines of its file."""

from __future__ import annotations

import pytest

from lgs_runtime.errors import ConfigError
from lgs_runtime.graphs.warmup_section import Warmup, WarmupInput, parse_lines, parse_warmup


def test_without_the_variable_nothing_is_run_before() -> None:
    assert parse_warmup("") is None


def test_what_is_not_said_has_its_default() -> None:
    found = parse_warmup('{"inputs": [{"input": {"a": null}}]}')

    assert found == Warmup((WarmupInput("LGS_CACHE_WARMUP.inputs[0]", {"a": None}),), None, 30.0)


def test_a_line_that_can_not_be_read_does_not_cost_the_others() -> None:
    lines = ['{"input": "a"}\n', "\n", "{\n", '{"inptu": 1}\n', '{"input": [1], "assistant": "b"}']

    good, broken, slip, last = parse_lines(lines, "warmup.jsonl")

    assert good == WarmupInput("warmup.jsonl:1", "a")
    assert str(broken).startswith("warmup.jsonl:3: {: must be JSON")
    assert str(slip) == "warmup.jsonl:4.inptu: unknown: must be one of assistant, input, context"
    assert last == WarmupInput("warmup.jsonl:5", [1], "b")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "LGS_CACHE_WARMUP: {: must be JSON"),
        ("[" * 100_000, "LGS_CACHE_WARMUP: [["),
        ("[]", "LGS_CACHE_WARMUP: []: must be an object"),
        ('{"input": {}}', "LGS_CACHE_WARMUP.input: unknown: must be one of timeoutSeconds, inputs, file"),
        ('{"inputs": {}}', "LGS_CACHE_WARMUP.inputs: {}: must be a list"),
        ('{"inputs": {"a": 1}}', "LGS_CACHE_WARMUP.inputs: {'a': 1}: must be a list"),
        ('{"inputs": [3]}', "LGS_CACHE_WARMUP.inputs[0]: 3: must be an object"),
        ('{"inputs": [{}]}', "LGS_CACHE_WARMUP.inputs[0].input: none: is required"),
        (
            '{"inputs": [{"input": 1, "context": 1}]}',
            "LGS_CACHE_WARMUP.inputs[0].context: 1: must be an object",
        ),
        ('{"inputs": [{"input": 1, "assistant": ""}]}', "LGS_CACHE_WARMUP.inputs[0].assistant: '': must be"),
        ('{"file": 3}', "LGS_CACHE_WARMUP.file: 3: must be a text that is not empty"),
        ('{"timeoutSeconds": 0}', "LGS_CACHE_WARMUP.timeoutSeconds: 0: must be more than 0 and at most 300"),
        ('{"timeoutSeconds": 301}', "LGS_CACHE_WARMUP.timeoutSeconds: 301: must be more than 0"),
        ('{"timeoutSeconds": NaN}', "LGS_CACHE_WARMUP.timeoutSeconds: nan: must be more than 0"),
    ],
    ids=lambda text: str(text)[:40],
)
def test_what_can_not_work_is_told_by_name_value_and_rule(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_warmup(text)

    assert str(refused.value).startswith(said)
