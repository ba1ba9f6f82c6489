"""Merges a request's configuration and context over those of its assistant.

Before LangGraph had `context`, clients gave `config.configurable` instead, and graphs read it. So the values
of `context` are also put into `configurable`, and fields of the assistant's context that a client gives in
`configurable` into the context: old and new clients and graphs work together. `worker.context` does the same
for the graphs' context.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lgs_runtime.model import Assistant, Json
from lgs_runtime.run_kwargs import ABOUT_THE_CALLER

SET_HERE = frozenset({"thread_id", "checkpoint_id", "checkpoint_ns", "checkpoint_map"})


def merge_config(assistant: Assistant, over: Json, context: Json) -> dict[str, Any]:
    """The request's configuration (`over`) merged over the assistant's: `configurable` and `metadata` key by
    key, tags concatenated, everything else replaced. `configurable` also has the context, for graphs that
    know no other, and the assistant's current `graph_id`."""
    base = assistant.config
    merged = {**base, **{name: value for name, value in over.items() if value is not None}}
    configurable = {
        **assistant.context,
        **_object(base, "configurable"),
        **context,
        **_object(over, "configurable"),
    }
    merged["configurable"] = {
        **{name: value for name, value in configurable.items() if not _is_ours(name)},
        "graph_id": assistant.graph_id,
    }
    if metadata := {**_object(base, "metadata"), **_object(over, "metadata")}:
        merged["metadata"] = metadata
    if tags := [*(base.get("tags") or ()), *(over.get("tags") or ())]:
        merged["tags"] = list(dict.fromkeys(tags))
    return merged


def config_of_thread(assistant: Assistant, over: Json) -> dict[str, Any] | None:
    """The config that a thread shows once a run was created on it, as on LangGraph's server: the request's
    over the assistant's, except `configurable`, which is the assistant's. None if all is empty."""
    configurable = dict(_object(assistant.config, "configurable"))
    given = {**assistant.config, **{name: value for name, value in over.items() if value is not None}}
    given.pop("configurable", None)
    return {**given, "configurable": configurable} if given or configurable else None


def merge_context(assistant: Assistant, over: Json, context: Json) -> dict[str, Any]:
    """The request's context merged over the assistant's. A field of the assistant's context that the request
    gives in `configurable` counts as given, too."""
    configurable = _object(over, "configurable")
    early = {name: configurable[name] for name in assistant.context if name in configurable}
    merged = {**assistant.context, **early, **context}
    # Graphs look for the caller in either place: a client must not set it in this one.
    return {name: value for name, value in merged.items() if name not in ABOUT_THE_CALLER}


def _is_ours(name: str) -> bool:
    """Whether only LangGraph and the worker may set this key, and no client."""
    return name in SET_HERE or name in ABOUT_THE_CALLER or name.startswith("__")


def _object(config: Json, name: str) -> Mapping[str, Any]:
    return config.get(name) or {}
