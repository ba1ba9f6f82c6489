"""How a run's `context` and the `config.configurable` that came before it meet.

Clients of either kind serve graphs of either kind: what a client gives as context a graph finds in its
`configurable` too (`runs.admission.merge_config`), and what it gives as `configurable` a graph with a context
schema finds in its context. The context has only what the schema names, since a dataclass takes nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from lgs_runtime.worker.kwargs import RunKwargs


def context_of(schema: type, kwargs: RunKwargs) -> Mapping[str, Any] | None:
    """The context of a graph with this context schema; None when nothing was given for it."""
    given = {**kwargs.config.get("configurable", {}), **(kwargs.context or {})}
    named = _names(schema)
    if named is None:
        return kwargs.context
    return {name: value for name, value in given.items() if name in named} or None


@lru_cache(maxsize=256)
def _names(schema: type) -> frozenset[str] | None:
    """The fields of a dataclass, a TypedDict or a pydantic model; None for one that takes any."""
    fields = getattr(schema, "model_fields", None)
    if fields is None:
        return frozenset(name for base in schema.__mro__ for name in getattr(base, "__annotations__", ()))
    if getattr(schema, "model_config", {}).get("extra") == "allow":
        return None
    return frozenset(fields) | {field.alias for field in fields.values() if field.alias}
