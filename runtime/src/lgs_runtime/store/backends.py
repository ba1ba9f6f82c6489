"""Opens the long-term store that belongs to a `DATABASE_URI`."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from langgraph.store.base import BaseStore, TTLConfig

from lgs_runtime.database.addresses import address
from lgs_runtime.store.options import Index


def open_store(
    uri: str, *, index: Index | None = None, ttl: TTLConfig | None = None
) -> AbstractAsyncContextManager[BaseStore]:
    """The store of a database, set up, while the context is open. With `index` it searches by meaning; `ttl`
    says how long items live. Raises `ConfigError`, `StorageUnavailable`."""
    where = address(uri)
    if where.path is not None:
        from lgs_runtime.store.sqlite import sqlite_store  # noqa: PLC0415 - load one driver only

        return sqlite_store(where.path, index=index, ttl=ttl)
    from lgs_runtime.store.postgres import postgres_store  # noqa: PLC0415

    return postgres_store(where.uri, index=index, ttl=ttl)
