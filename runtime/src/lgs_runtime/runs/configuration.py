"""An assistant's configuration and context under those of a request.

Clients from before there was a `context` give `config.configurable` instead, and graphs from before read it:
each finds there what the other kind gives. `worker.context` does the same for the graphs' context.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lgs_runtime.model import Assistant, Json
from lgs_runtime.run_kwargs import ABOUT_THE_CALLER

SET_HERE = frozenset({"thread_id", "checkpoint_id", "checkpoint_ns", "checkpoint_map"})


def merge_config(assistant: Assistant, over: Json, context: Json) -> dict[str, Any]:
    """The assistant's configuration under a request's: `configurable` and `metadata` by key, tags one after
    the other, everything else replaced. `configurable` has the context too, for graphs that know no other,
    and says which graph, as the assistant names it now."""
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
    """What a thread shows as its config once a run was made on it, as LangGraph's server has it: the
    request's over the assistant's, but for `configurable`, which is the assistant's. None where that is
    empty."""
    configurable = dict(_object(assistant.config, "configurable"))
    given = {**assistant.config, **{name: value for name, value in over.items() if value is not None}}
    given.pop("configurable", None)
    return {**given, "configurable": configurable} if given or configurable else None


def merge_context(assistant: Assistant, over: Json, context: Json) -> dict[str, Any]:
    """The assistant's context under a request's. A request that gives a field of the assistant's context as
    `configurable` means it, too."""
    configurable = _object(over, "configurable")
    early = {name: configurable[name] for name in assistant.context if name in configurable}
    merged = {**assistant.context, **early, **context}
    # Graphs ask either place for who asked: no client may say it in the other.
    return {name: value for name, value in merged.items() if name not in ABOUT_THE_CALLER}


def _is_ours(name: str) -> bool:
    """Whether LangGraph and the worker set this themselves, so that no client may."""
    return name in SET_HERE or name in ABOUT_THE_CALLER or name.startswith("__")


def _object(config: Json, name: str) -> Mapping[str, Any]:
    return config.get(name) or {}
