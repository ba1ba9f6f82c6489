"""The context in which a value is computed anew beside the call that found it old.

It is that of the call, without what belongs to its run: tokens and custom events of a refresh must not appear
in the stream of a conversation, and its callbacks get no events of another computation. The store, the
user and the rest of the configuration stay.
"""

from __future__ import annotations

from contextvars import Context, copy_context
from dataclasses import replace
from typing import Any, Final

from langchain_core.runnables.config import RunnableConfig, var_child_runnable_config
from langgraph.runtime import Runtime

INTERNAL: Final = "__pregel_"
RUNTIME: Final = "__pregel_runtime"


def beside_the_call() -> Context:
    """A copy of the current context for a computation that is no step of a run."""
    context = copy_context()
    config = context.get(var_child_runnable_config)
    if config is not None:
        context.run(var_child_runnable_config.set, _without_its_run(config))
    return context


def _without_its_run(config: RunnableConfig) -> RunnableConfig:
    given: dict[str, Any] = config.get("configurable") or {}
    kept = {name: value for name, value in given.items() if not name.startswith(INTERNAL)}
    runtime = given.get(RUNTIME)
    if isinstance(runtime, Runtime):
        kept[RUNTIME] = replace(runtime, stream_writer=_silent)
    return {"configurable": kept, "metadata": config.get("metadata") or {}}


def _silent(_event: Any) -> None:
    """Nobody listens."""
