"""What `@cached` can't work with is refused as the function is decorated, by name, value and rule."""

from __future__ import annotations

import functools
import re
from datetime import timedelta
from typing import Any

import pytest
from langgraph.graph import StateGraph
from langgraph.types import CachePolicy

from lgs_runtime.cache import NodeCache, cached
from lgs_runtime.cache.response import check_policies
from lgs_runtime.errors import ConfigError


def search(client: object, question: str) -> str:
    return question


async def later(client: object, question: str) -> str:
    return question


class Callable:
    def __call__(self) -> None:
        """Nothing."""


TTL = "ttl: {}: must be a number of seconds, more than 0"
WORDS = {
    "ttl: inf": (
        {"ttl": float("inf")},
        "ttl: inf: must be a number of seconds, more than 0 and at most 8.64e.13",
    ),
    "ttl: a word": ({"ttl": "finite"}, TTL.format("'finite'")),
    "ttl: 0": ({"ttl": 0}, TTL.format(0)),
    "ttl: below 0": ({"ttl": timedelta(seconds=-1)}, TTL.format(re.escape(repr(timedelta(seconds=-1))))),
    "ttl: beyond a float": (
        {"ttl": 10**400},
        "ttl: 10+: must be a number of seconds, more than 0 and at most",
    ),
    "ttl_max: a word": ({"ttl_max": "1h"}, "ttl_max: '1h': must be a number of seconds"),
    "ttl_max: below ttl": ({"ttl": 60, "ttl_max": 30}, "ttl_max: 30: must be at least ttl, which is 60"),
    "stale: a word": ({"stale": "yes"}, "stale: 'yes': must be a number of seconds, 0 or more"),
    "key: a text": ({"key": "x"}, "key: 'x': must be a function, not async"),
    "key: async": ({"key": later}, "key: <function later .*>: must be a function, not async"),
    "ignore: a text": (
        {"ignore": "client"},
        r"ignore: 'client': must be a tuple of names of parameters, such as",
    ),
    "ignore: a number": ({"ignore": 7}, "ignore: 7: must be a tuple of names of parameters"),
    "ignore: of numbers": ({"ignore": (0,)}, r"ignore: \(0,\): must be a tuple of names of parameters"),
    "ignore: no parameter": (
        {"ignore": ("x",)},
        "ignore: x: must be a parameter; there are: client, question",
    ),
    "ignore: beside key": (
        {"key": len, "ignore": ("client",)},
        r"ignore: \('client',\): must be empty with key",
    ),
    "namespace: empty": ({"namespace": ""}, "namespace: '': must be a text of 1 to 512 characters"),
    "namespace: blank": ({"namespace": " "}, "namespace: ' ': must be a text of 1 to 512 characters"),
    "namespace: a number": ({"namespace": 7}, "namespace: 7: must be a text, not an int"),
    "namespace: too long": (
        {"namespace": "n" * 513},
        "namespace: 'n+': must be a text of 1 to 512 characters",
    ),
    "namespace: a row": ({"namespace": "(others)"}, r"namespace: '\(others\)': must be .* none of \(all\), "),
    "namespace: no text": ({"namespace": "\ud800"}, "namespace: '.ud800': must be a text without halves"),
    "version: a number": ({"version": 3}, "version: 3: must be a text, not an int"),
    "version: none": ({"version": None}, "version: None: must be a text, not None"),
    "per_user: a word": ({"per_user": "no"}, "per_user: 'no': must be True or False"),
    "preload: a number": ({"preload": 1}, "preload: 1: must be True or False"),
    "preload: for users": (
        {"preload": True, "per_user": True},
        "preload: True: must be off with per_user, key",
    ),
}


@pytest.mark.parametrize(("given", "said"), WORDS.values(), ids=WORDS)
@pytest.mark.parametrize("function", [search, later])
def test_an_argument_that_can_not_work_is_refused_by_name_value_and_rule(
    function: Any, given: dict[str, Any], said: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=rf"^\S+(search|later): {said}"):
        cached(**given)(function)


@pytest.mark.parametrize(
    "given",
    [3, None, "search", Callable(), Callable, functools.partial(search, None), staticmethod(search), len],
    ids=lambda given: type(given).__name__,
)
def test_what_is_no_function_is_refused_with_what_to_do(given: Any) -> None:
    with pytest.raises(
        TypeError, match=r"^cached: .*: must be a function, not (an? .*|None); put @cached\(\.\.\.\) right"
    ):
        cached(ttl=60)(given)


@pytest.mark.parametrize(
    "ignore", [("client",), ["client"], {"client"}, frozenset({"client"}), {"client": 1}.keys()]
)
def test_names_to_ignore_may_be_in_any_collection(ignore: Any) -> None:
    assert cached(ttl=60, ignore=ignore)(search)(object(), "a") == "a"


@pytest.mark.parametrize("name", ["", " ", 7, None, "(all)", "a" * 600])
def test_so_is_a_name_of_a_cache_for_a_subgraph(name: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=r"^NodeCache: name: .*: must be a text"):
        NodeCache(name)


@pytest.mark.parametrize("ttl", ["60", 0, float("inf"), float("nan"), True, 10**400])
def test_and_the_life_of_a_node_that_none_can_have(ttl: Any) -> None:
    builder = StateGraph(dict).add_node("ask", lambda state: state, cache_policy=CachePolicy(ttl=ttl))
    graph = builder.set_entry_point("ask").compile()

    at_most = " and at most 8.64e.13" if ttl in (float("inf"), 10**400) else ""
    said = (
        r"graphs\.agent: node ask: cache_policy\.ttl: .*: must be a number of seconds, more than 0{}, or None"
    )
    with pytest.raises(ConfigError, match=said.format(at_most)):
        check_policies("agent", graph)
