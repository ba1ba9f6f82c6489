"""Factories: functions that make a graph each time one is needed.

A factory may take the config of the call, a `langgraph_sdk.runtime.ServerRuntime` (which says why it is
called, and holds the service's store), both, or nothing. A parameter's annotation decides which of them it
gets, else its name (`config`, `runtime`). As on LangGraph's server, a single parameter of any name gets the
config, unless its annotation is a `ServerRuntime`.

The config of a factory holds more than that of a node: whether the graph is to be executed, and what
`langgraph.config.get_store` and `langgraph.runtime.get_runtime` find while the factory is called.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
)
from contextvars import ContextVar
from typing import Any, Literal

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import var_child_runnable_config
from langgraph.runtime import Runtime
from langgraph.store.base import BaseStore
from langgraph_sdk.runtime import AccessContext, _ExecutionRuntime, _ReadRuntime

Given = Literal["config", "runtime"]
IS_FOR_EXECUTION = "__is_for_execution__"
"""Key of `configurable` by which factories written before `ServerRuntime` tell a run from a read of the
state."""
RUNTIME = "__pregel_runtime"
"""Key under which LangGraph finds the runtime of the calling code."""
MARKS: Mapping[str, Given] = {
    "RunnableConfig": "config",
    "ServerRuntime": "runtime",
    "ExecutionRuntime": "runtime",
    "ReadRuntime": "runtime",
}


def parameters_of(factory: Callable[..., Any]) -> Mapping[str, Given] | None:
    """What to pass to a factory, by parameter; None if it requires something that a server does not have."""
    try:
        parameters = list(inspect.signature(factory).parameters.values())
    except (TypeError, ValueError):
        return None
    named = [one for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    if len(named) == 1:
        return {named[0].name: _annotated(named[0]) or "config"}
    places = {one.name: _annotated(one) or _named(one) for one in named}
    if any(places[one.name] is None and one.default is one.empty for one in named):
        return None
    return {name: given for name, given in places.items() if given is not None}


def _annotated(parameter: inspect.Parameter) -> Given | None:
    """What the annotation asks for, judged by its text, since its types may be imported only for type
    checkers."""
    if parameter.annotation is not parameter.empty:
        text = str(parameter.annotation)
        for mark, given in MARKS.items():
            if mark in text:
                return given
    return None


def _named(parameter: inspect.Parameter) -> Given | None:
    if parameter.name == "config":
        return "config"
    return "runtime" if parameter.name == "runtime" else None


caller: ContextVar[Any] = ContextVar("caller", default=None)
"""The user on whose behalf graphs are opened: set by each request, and by each attempt of a run."""


def identity_of_caller() -> str | None:
    """The identity of the caller; None if nobody is known."""
    user = caller.get()
    return None if user is None else str(user.identity)


def runtime_of(
    access: AccessContext, store: BaseStore, context: Mapping[str, Any] | None
) -> _ExecutionRuntime[Any] | _ReadRuntime[Any]:
    """The runtime that a factory gets: why it is called, and for which user. It has `context` only if the
    graph is executed."""
    user = caller.get()
    if access == "threads.create_run":
        return _ExecutionRuntime(access_context=access, user=user, store=store, context=context)
    return _ReadRuntime(access_context=access, user=user, store=store)


def who_asks(user: Any) -> dict[str, Any]:
    """What `configurable` says about the user, under LangGraph's names: all of them are set, even if nobody
    is known."""
    return {
        "langgraph_auth_user": user,
        "langgraph_auth_user_id": "" if user is None else user.identity,
        "langgraph_auth_permissions": [] if user is None else list(user.permissions),
    }


def config_of(config: RunnableConfig, runtime: _ExecutionRuntime[Any] | _ReadRuntime[Any]) -> RunnableConfig:
    """The config that a factory gets. The config of the call is not changed."""
    execution = runtime.execution_runtime
    # LangGraph's own kind of runtime: graphs that the factory invokes merge it with theirs.
    ambient = Runtime(context=execution and execution.context, store=runtime.store)
    given: RunnableConfig = {**config}
    given["configurable"] = {
        **who_asks(runtime.user),
        **config.get("configurable", {}),
        IS_FOR_EXECUTION: execution is not None,
        RUNTIME: ambient,
    }
    return given


@asynccontextmanager
async def called(
    factory: Callable[..., Any], config: RunnableConfig, runtime: object
) -> AsyncIterator[object]:
    """What a factory makes: returned, awaited, or yielded by a context manager, which stays open."""
    async with AsyncExitStack() as stack:
        before = var_child_runnable_config.set(config)
        try:
            made = _call(factory, config, runtime)
            if inspect.isawaitable(made):
                made = await made
            if isinstance(made, AbstractAsyncContextManager):
                made = await stack.enter_async_context(made)
            elif isinstance(made, AbstractContextManager):
                made = stack.enter_context(made)
        finally:
            # The code that runs the graph must not take itself for a part of the context the factory was
            # called in.
            var_child_runnable_config.reset(before)
        yield made


def _call(factory: Callable[..., Any], config: RunnableConfig, runtime: object) -> Any:
    given = {"config": config, "runtime": runtime}
    wanted = parameters_of(factory) or {}
    parameters = inspect.signature(factory).parameters
    positional = [given[what] for name, what in wanted.items() if _is_positional(parameters[name])]
    by_name = {name: given[what] for name, what in wanted.items() if not _is_positional(parameters[name])}
    return factory(*positional, **by_name)


def _is_positional(parameter: inspect.Parameter) -> bool:
    return parameter.kind is parameter.POSITIONAL_ONLY
