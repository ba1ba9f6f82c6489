"""The context in which a value is recomputed in the background of the call that found it old.

It is the call's context without what belongs to its run: a refresh must not put tokens or custom events into
the stream of a conversation, nor send events to the run's callbacks. The store, the user and the rest of the
configuration stay.
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
    """A copy of the current context, for a computation that is not a step of a run."""
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
    """Drops the event."""
