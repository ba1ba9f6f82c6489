"""Combines a run's `context` with `config.configurable`, its predecessor in LangGraph.

Clients and graphs may each use either. Values that a client gives as context are also in the graph's
`configurable` (`runs.configuration.merge_config`), and values that it gives as `configurable` are also in the
context of a graph with a context schema. The context has only the fields that the schema names, since a
dataclass accepts no others.

LangGraph builds a context only if it is given one. So if a client gives nothing, a graph whose schema is a
class gets an empty mapping: its defaults apply, and a field without one causes LangGraph's own error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

from lgs_runtime.run_kwargs import RunKwargs

ADDED_HERE = frozenset({"graph_id"})
"""Keys of `configurable` that `merge_config` adds to those of the client."""


def context_of(schema: type, kwargs: RunKwargs) -> Mapping[str, Any] | None:
    """The context of a graph with this context schema. If nothing was given for it: empty for a class, which
    is then built from its defaults, and None for a mapping."""
    early, context = given_early(kwargs), kwargs.context or {}
    named, others = _names(schema)
    found = {name: value for name, value in early.items() if name in named}
    found.update((name, value) for name, value in context.items() if others or name in named)
    return found if found or _is_class(schema) else None


def context_for_factory(kwargs: RunKwargs) -> Mapping[str, Any]:
    """The run's context for a graph's factory: all values that were given, as there is no schema yet."""
    return {**given_early(kwargs), **(kwargs.context or {})}


def given_early(kwargs: RunKwargs) -> Mapping[str, Any]:
    """The values that the client gave as `configurable`."""
    given = kwargs.config.get("configurable") or {}
    return {name: value for name, value in given.items() if name not in ADDED_HERE}


def _is_class(schema: type) -> bool:
    """Whether LangGraph makes an instance of the schema (`_coerce_context` of `langgraph.pregel.main`)."""
    return is_dataclass(schema) or issubclass(schema, BaseModel)


@lru_cache(maxsize=256)
def _names(schema: type) -> tuple[frozenset[str], bool]:
    """(fields of a dataclass, a TypedDict or a pydantic model; whether it accepts others too)."""
    model_fields = getattr(schema, "model_fields", None)
    if model_fields is not None:
        names = (alias for field in model_fields.values() for alias in (field.alias, field.validation_alias))
        aliases = {alias for alias in names if isinstance(alias, str)}
        others = getattr(schema, "model_config", {}).get("extra") == "allow"
        return frozenset(model_fields) | aliases, others
    if is_dataclass(schema):
        return frozenset(field.name for field in fields(schema) if field.init), False
    names = (name for base in schema.__mro__ for name in getattr(base, "__annotations__", ()))
    return frozenset(names), False
