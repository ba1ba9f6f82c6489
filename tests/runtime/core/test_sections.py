"""Each section of `langgraph.json` tells all that is wrong with it, at whatever depth."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from lgs_runtime.checkpoint.options import parse_checkpointer
from lgs_runtime.checks import kind_of
from lgs_runtime.errors import ConfigError, ConfigErrors
from lgs_runtime.graphs.answer_section import parse_answers
from lgs_runtime.graphs.auth_section import parse_auth
from lgs_runtime.graphs.circuit_section import parse_circuits
from lgs_runtime.graphs.http_section import parse_http
from lgs_runtime.graphs.warmup_section import parse_warmup
from lgs_runtime.graphs.webhook_section import parse_webhooks
from lgs_runtime.store.options import parse_store


def of_variable(parse: Callable[[str], Any]) -> Callable[[Any, str], Any]:
    """A section that a variable says in JSON, whose name stands for `s`."""

    def read(content: Any, where: str) -> Any:
        try:
            return parse(json.dumps(content))
        except ConfigError as wrong:
            told = getattr(wrong, "errors", [wrong])
            raise ConfigErrors([ConfigError(re.sub(r"^LGS_\w+", where, str(one))) for one in told]) from wrong

    return read


@pytest.mark.parametrize(
    ("parse", "content", "told"),
    [
        (
            parse_auth,
            {
                "pth": "a",
                "path": 1,
                "disable_studio_auth": "no",
                "allow_langsmith_api_keys": True,
                "openapi": [],
                "cache": {"cache_key": [], "ttl_seconds": 0, "max_size": "many"},
            },
            [
                "s.pth: unknown",
                "s.allow_langsmith_api_keys: True",
                "s.path: 1",
                "s.disable_studio_auth: 'no'",
                "s.openapi: []",
                "s.cache.cache_key: unknown",
                "s.cache.cache_keys: None",
                "s.cache.ttl_seconds: 0",
                "s.cache.max_size: 'many'",
            ],
        ),
        (
            parse_store,
            {"pth": 1, "paths": 2, "index": {"dim": 1, "dims": 0, "embed": ""}, "ttl": {"ttl": 1}},
            [
                "s.pth: unknown",
                "s.paths: unknown",
                "s.index.dim: unknown",
                "s.index.dims: 0",
                "s.index.embed: ''",
                "s.ttl.ttl: unknown",
            ],
        ),
        (
            parse_checkpointer,
            {"pth": 1, "serde": {"pickle": 1, "pickle_fallback": 2}, "ttl": {"ttl": 1, "strategy": "x"}},
            [
                "s.pth: unknown",
                "s.serde.pickle: unknown",
                "s.serde.pickle_fallback: 2",
                "s.ttl.ttl: unknown",
                "s.ttl.strategy: 'x'",
            ],
        ),
        (
            partial(parse_webhooks, env={}),
            {
                "env_prefix": 1,
                "headers": [],
                "url": {
                    "require_https": 1,
                    "allowed_domains": ["a b", "c d"],
                    "allowed_ports": [0, 70000],
                    "max_url_length": 0,
                },
                "allowed_fields": ["x", "y"],
            },
            [
                "s.env_prefix: 1",
                "s.headers: []",
                "s.url.allowed_domains: 'a b'",
                "s.url.allowed_domains: 'c d'",
                "s.url.allowed_ports: 0",
                "s.url.allowed_ports: 70000",
                "s.url.max_url_length: 0",
                "s.url.require_https: 1",
                "s.allowed_fields: 'x'",
                "s.allowed_fields: 'y'",
            ],
        ),
        (
            parse_http,
            {"app": 1, "cors": {"origins": [], "methods": [], "max_age": -1}},
            ["s.app: 1", "s.cors.origins: unknown", "s.cors.methods: unknown", "s.cors.max_age: -1"],
        ),
        (
            of_variable(partial(parse_answers, graphs=("a", "b"), ttl_seconds=60)),
            {"a": {"ttl": 1, "ttlSeconds": 0}, "c": {}},
            ["s.c: unknown", "s.a.ttl: unknown", "s.a.ttlSeconds: 0"],
        ),
        (
            of_variable(partial(parse_circuits, graphs=("a", "b"))),
            {"probe": 1, "probes": 0, "graphs": {"a": {"prob": 1}, "c": {}}},
            ["s.probe: unknown", "s.graphs.c: unknown", "s.graphs.a.prob: unknown", "s.probes: 0"],
        ),
        (
            of_variable(parse_warmup),
            {"input": 1, "file": "", "timeoutSeconds": 0, "inputs": [{}, {"input": 1, "assistent": "a"}]},
            [
                "s.input: unknown",
                "s.timeoutSeconds: 0",
                "s.inputs[0].input: none",
                "s.inputs[1].assistent: unknown",
                "s.file: ''",
            ],
        ),
    ],
)
def test_all_that_is_wrong_with_a_section_is_told(
    parse: Callable[[Any, str], Any], content: dict[str, Any], told: list[str]
) -> None:
    with pytest.raises(ConfigErrors) as raised:
        parse(content, "s")

    lines = str(raised.value).splitlines()
    assert [": ".join(line.split(": ")[:2]) for line in lines] == told


@pytest.mark.parametrize(
    ("value", "told"),
    [(7, "an int"), ([], "a list"), (None, "None"), (object(), "an object"), (OSError(), "an OSError")],
)
def test_what_a_value_is_is_told_with_its_article(value: object, told: str) -> None:
    assert kind_of(value) == told
