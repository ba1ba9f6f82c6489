"""Rules of `spec.cache`: a single source of Redis, and which graphs and assistants `answers` and
`warmup` may name."""

from __future__ import annotations

import json
import re
from typing import Final

from lgs_crds.errors import Problem
from lgs_crds.model.service import Spec
from lgs_crds.rules.graphs import NO_GRAPHS, graphs_rule, unknown_graph
from lgs_crds.rules.rule import Rule, exactly_one, exactly_one_rule

REDIS_SOURCES = ("uriSecret", "managed")
NO_SUCH_ASSISTANT = "must be a graph of spec.graphs, or the id of an assistant"
WHICH_GRAPH = "each must name its assistant, since there are several graphs"
ASSISTANT_ID = "^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$"
MOST_WARMUP_BYTES = 64 * 1024
"""Most bytes of warm-up inputs: a replica gets them in an environment variable, which Linux
limits to 128 KiB."""
TOO_MUCH_WARMUP = f"must take at most {MOST_WARMUP_BYTES} bytes of JSON together; put more into file"
_WARMUP = "self.cache.warmup.inputs"
_NO_WARMUP = f"{NO_GRAPHS} || !has(self.cache) || !has(self.cache.warmup) || !has({_WARMUP})"
_UNKNOWN = (
    f"has(each.assistant) && !(each.assistant in self.graphs || each.assistant.matches('{ASSISTANT_ID}'))"
)


def _one_redis(spec: Spec) -> Problem | None:
    redis = spec.cache.redis
    if redis is None:
        return None
    values = zip(REDIS_SOURCES, (redis.uri_secret, redis.managed), strict=True)
    given = [name for name, value in values if value is not None]
    return exactly_one("spec.cache.redis", given, REDIS_SOURCES)


def _answers_of_graphs(spec: Spec) -> Problem | None:
    return unknown_graph(spec, "spec.cache.answers", spec.cache.answers)


def _warmup_of_assistants(spec: Spec) -> Problem | None:
    warmup = spec.cache.warmup
    named = [each.assistant for each in warmup.inputs] if warmup and spec.graphs else []
    if None in named and len(spec.graphs) > 1:
        return Problem("spec.cache.warmup.inputs", WHICH_GRAPH, "no assistant")
    unknown = [
        name for name in named if name and name not in spec.graphs and not re.fullmatch(ASSISTANT_ID, name)
    ]
    return Problem("spec.cache.warmup.inputs", NO_SUCH_ASSISTANT, unknown[0]) if unknown else None


def _warmup_bytes(spec: Spec) -> Problem | None:
    inputs = spec.cache.warmup.inputs if spec.cache.warmup else []
    size = len(json.dumps([each.model_dump(mode="json") for each in inputs]))
    if size <= MOST_WARMUP_BYTES:
        return None
    return Problem("spec.cache.warmup.inputs", TOO_MUCH_WARMUP, f"{size} bytes")


RULES: Final = (
    exactly_one_rule("cache.redis", REDIS_SOURCES, _one_redis),
    graphs_rule(("cache", "answers"), _answers_of_graphs),
    Rule(
        "",
        f"{_NO_WARMUP} || !{_WARMUP}.exists(each, {_UNKNOWN})",
        # The message does not name the assistant: the API server can't foresee the cost of finding it.
        f"'spec.cache.warmup.inputs: an assistant: {NO_SUCH_ASSISTANT}'",
        _warmup_of_assistants,
    ),
    Rule(
        "",
        f"{_NO_WARMUP} || size(self.graphs) == 1 || {_WARMUP}.all(each, has(each.assistant))",
        f"'spec.cache.warmup.inputs: no assistant: {WHICH_GRAPH}'",
    ),
    Rule("cache.warmup.inputs", None, None, _warmup_bytes),
)
