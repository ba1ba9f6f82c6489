"""How a run's `context` and the `config.configurable` that came before it meet.

Clients of either kind serve graphs of either kind: what a client gives as context a graph finds in its
`configurable` too (`runs.configuration.merge_config`), and what it gives as `configurable` a graph with a
context schema finds in its context. The context has only what the schema names, since a dataclass takes
nothing else.

LangGraph builds a context only from what it is given, so a graph whose schema is a class gets an empty
mapping where nothing was: its defaults then hold, and a field that has none is LangGraph's own error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

from lgs_runtime.run_kwargs import RunKwargs

ADDED_HERE = frozenset({"graph_id"})
"""What `merge_config` puts among what the client gives."""


def context_of(schema: type, kwargs: RunKwargs) -> Mapping[str, Any] | None:
    """The context of a graph with this context schema. Where nothing was given for it: empty for a class,
    which is built from its defaults, and None for a mapping."""
    early, context = given_early(kwargs), kwargs.context or {}
    named, others = _names(schema)
    found = {name: value for name, value in early.items() if name in named}
    found.update((name, value) for name, value in context.items() if others or name in named)
    return found if found or _is_class(schema) else None


def context_for_factory(kwargs: RunKwargs) -> Mapping[str, Any]:
    """The context of its run that a graph's factory gets. There is no schema yet, so it is all that was
    given."""
    return {**given_early(kwargs), **(kwargs.context or {})}


def given_early(kwargs: RunKwargs) -> Mapping[str, Any]:
    """What came as `configurable`."""
    given = kwargs.config.get("configurable") or {}
    return {name: value for name, value in given.items() if name not in ADDED_HERE}


def _is_class(schema: type) -> bool:
    """Whether LangGraph makes an instance of it, as `_coerce_context` of `langgraph.pregel.main` decides."""
    return is_dataclass(schema) or issubclass(schema, BaseModel)


@lru_cache(maxsize=256)
def _names(schema: type) -> tuple[frozenset[str], bool]:
    """The fields of a dataclass, a TypedDict or a pydantic model, and whether it takes others too."""
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
