"""Opens the persistence of graphs as the settings say: checkpointer, its upkeep, and store. They use the
service's database unless `langgraph.json` names the application's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from lgs_runtime.checkpoint.options import SerdeOptions
from lgs_runtime.checkpoint.savers import open_checkpointer, open_upkeep
from lgs_runtime.errors import ConfigError
from lgs_runtime.graphs.importing import extend_import_path, variable_in
from lgs_runtime.settings import Settings
from lgs_runtime.store.backends import open_store
from lgs_runtime.store.options import Index, StoreOptions, open_index

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.store.base import BaseStore

    from lgs_runtime.checkpoint.upkeep import Upkeep

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Persistence:
    """The open checkpointer, its upkeep, and the open store."""

    checkpointer: BaseCheckpointSaver[Any]
    upkeep: Upkeep
    store: BaseStore


@asynccontextmanager
async def open_persistence(settings: Settings) -> AsyncIterator[Persistence]:
    """Opens and sets up checkpointer, upkeep and store while the context is open. Raises `ConfigError`,
    `StorageUnavailable`."""
    async with AsyncExitStack() as stack:
        checkpointer, upkeep = await stack.enter_async_context(_checkpoints(settings))
        yield Persistence(checkpointer, upkeep, await stack.enter_async_context(_store(settings)))


@asynccontextmanager
async def _checkpoints(settings: Settings) -> AsyncIterator[tuple[BaseCheckpointSaver[Any], Upkeep]]:
    options = settings.checkpointer
    if options.path is None:
        opened = open_checkpointer(settings.database_uri, serde=options.serde.serializer())
        async with opened as checkpointer:
            yield checkpointer, open_upkeep(settings.database_uri)
        return
    from lgs_runtime.checkpoint.custom import open_custom_saver  # noqa: PLC0415 - seldom needed
    from lgs_runtime.checkpoint.wrappers.foreign import ForeignUpkeep, has  # noqa: PLC0415

    if options.serde != SerdeOptions():
        log.warning("checkpointer.serde_ignored", reason="the checkpointer of checkpointer.path has its own")
    where = f"checkpointer.path: {options.path}"
    async with open_custom_saver(named(settings, options.path, where), where) as saver:
        if options.ttl.strategy == "keep_latest" and not has(saver.inner, "aprune"):
            raise ConfigError(
                f"checkpointer.ttl.strategy: keep_latest: must be delete, as {type(saver.inner).__name__} of "
                "checkpointer.path has no aprune"
            )
        yield saver, ForeignUpkeep(saver)


def _store(settings: Settings) -> AbstractAsyncContextManager[BaseStore]:
    options = settings.store
    if options.path is None:
        return open_store(settings.database_uri, index=index_of(settings), ttl=options.ttl.config())
    from lgs_runtime.checkpoint.custom import open_custom_store  # noqa: PLC0415 - seldom needed

    if options != StoreOptions(path=options.path):
        log.warning("store.options_ignored", reason="the store of store.path has its own index and ttl")
    where = f"store.path: {options.path}"
    return open_custom_store(named(settings, options.path, where), where)


def index_of(settings: Settings) -> Index | None:
    """The index of the store with its embeddings; None if it has none. Raises `ConfigError`."""
    options = settings.store.index
    if options is None:
        return None
    if not options.is_path:
        return open_index(options)
    return open_index(options, named(settings, options.embed, f"store.index.embed: {options.embed}"))


def named(settings: Settings, path: str, where: str) -> Any:
    """The value of the variable that `path:variable` names. Raises `ConfigError`."""
    extend_import_path(settings.import_paths)
    return variable_in(path, settings.source, where)
