"""Opens the application's own checkpointer or store that `checkpointer.path` or `store.path` of
langgraph.json names: an object, a function that returns one (async or not), or a context manager around
one."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from langgraph.store.base import BaseStore

from lgs_runtime.checkpoint.wrappers.foreign import ForeignSaver, check_saver
from lgs_runtime.checks import kind_of
from lgs_runtime.errors import ConfigError
from lgs_runtime.event_loop import RAISED, is_cancelled
from lgs_runtime.tracebacks import summary, user_traceback


@asynccontextmanager
async def open_custom_saver(found: Any, where: str) -> AsyncIterator[ForeignSaver]:
    """The application's checkpointer while the context is open. Raises `ConfigError`, whose message begins
    with `where`."""
    async with AsyncExitStack() as stack:
        yield ForeignSaver(check_saver(await _opened(found, stack, where), where))


@asynccontextmanager
async def open_custom_store(found: Any, where: str) -> AsyncIterator[BaseStore]:
    """The application's store while the context is open. Raises `ConfigError`, whose message begins with
    `where`."""
    async with AsyncExitStack() as stack:
        store = await _opened(found, stack, where)
        if not isinstance(store, BaseStore):
            raise ConfigError(
                f"{where}: it gives {kind_of(store)}: must be a BaseStore, or a function or context "
                "manager that gives one"
            )
        yield store


async def _opened(found: Any, stack: AsyncExitStack, where: str) -> Any:
    try:
        made = found() if callable(found) else found
        if inspect.isawaitable(made):
            made = await made
        if hasattr(type(made), "__aenter__"):
            return await stack.enter_async_context(made)
        if hasattr(type(made), "__enter__"):
            return stack.enter_context(made)
    # The application's code may raise anything; all of it is reported.
    except RAISED as raised:
        if is_cancelled(raised):
            raise
        raise ConfigError(
            f"{where}: it raised when it was opened: {summary(raised)}", shown=user_traceback(raised)
        ) from raised
    return made
