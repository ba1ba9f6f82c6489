"""Writes the threads of a whole service to a file and reads them back (`lgs-runtime export` and `import`).

Each thread is whole or absent. To complete an interrupted import, repeat it with `skip`, which passes over
the threads that exist already. An export writes to a `.part` file, which is renamed at the end.
"""

from __future__ import annotations

import asyncio
import gzip
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Literal, cast

import structlog

from lgs_runtime.database.addresses import address
from lgs_runtime.encryption.wrapping import open_cipher, sealed_saver, sealed_storage
from lgs_runtime.errors import ConfigError, Conflict, InvalidRequest, NotFound, StorageUnavailable
from lgs_runtime.graphs.registry import GraphRegistry
from lgs_runtime.persistence import open_persistence
from lgs_runtime.settings import Settings
from lgs_runtime.storage.backends import open_storage
from lgs_runtime.threads.archive import Archive
from lgs_runtime.threads.archive_import import ThreadImport
from lgs_runtime.threads.archive_values import ValueCodec

IfExists = Literal["raise", "replace", "skip"]
PAGE = 500
MEMORY_BYTES = 16 * 1024 * 1024
"""How much of a thread is held in memory on its way to the file; a larger one is spooled to disk."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Count:
    """How many threads an export or import handled."""

    done: int = 0
    skipped: int = 0
    failed: Sequence[str] = ()
    """Ids of the threads that can't be exported."""


async def export_to(settings: Settings, path: Path, thread_ids: Sequence[str]) -> Count:
    """Writes the named threads, or all if none are named. Without names, a thread that is deleted meanwhile
    is skipped. A thread that can't be exported is reported, and the others are exported. Raises `NotFound`
    when a named thread does not exist, `ConfigError`, `StorageUnavailable`."""
    _check_database(settings.database_uri, may_be_made=False)
    part = path.with_name(f"{path.name}.part")
    done = skipped = 0
    failed: list[str] = []
    async with _opened(settings) as archive:
        with _file(part, path, "wb") as file:
            async for thread_id in _named(archive, thread_ids):
                try:
                    await _export_one(archive, thread_id, file)
                    done += 1
                except NotFound:
                    if thread_ids:
                        raise
                    skipped += 1
                except StorageUnavailable:
                    raise
                except Exception as reason:
                    log.exception("thread.export_failed", thread_id=thread_id, reason=str(reason))
                    failed.append(thread_id)
    part.replace(path)
    return Count(done, skipped, tuple(failed))


async def _export_one(archive: Archive, thread_id: str, file: IO[bytes]) -> None:
    """Writes one thread to the file, as a whole or not at all."""
    with SpooledTemporaryFile(MEMORY_BYTES) as whole:
        async for line in archive.lines(thread_id):
            whole.write(line)
        whole.seek(0)
        shutil.copyfileobj(whole, file)


async def import_from(settings: Settings, path: Path, if_exists: IfExists) -> Count:
    """Reads threads from a file. Raises `Conflict` (when `if_exists` is `raise`, or a thread to replace is
    busy), `InvalidRequest`, `ConfigError`; the threads that were imported before the error stay."""
    _check_database(settings.database_uri, may_be_made=True)
    done = skipped = 0
    async with _opened(settings) as archive:
        with _file(path, path, "rb") as file:
            thread_import = ThreadImport(archive)
            try:
                for line in file:
                    await thread_import.take(line)
                    if not thread_import.ended:
                        continue
                    taken = await _settled(archive, thread_import, if_exists)
                    done, skipped = done + taken, skipped + (not taken)
                    thread_import = ThreadImport(archive)
                if thread_import.begun:
                    raise InvalidRequest(f"{path}: the last thread is not whole: the file was cut")
            except BaseException:
                await thread_import.drop()
                raise
    return Count(done, skipped)


async def _settled(archive: Archive, thread_import: ThreadImport, if_exists: IfExists) -> bool:
    async def replace(thread_id: str) -> None:
        if (await archive.storage.threads.get(thread_id)).status == "busy":
            raise Conflict(f"thread {thread_id} is busy: stop the service, or its runs, first")
        await archive.storage.threads.delete(thread_id, replaced=True)
        await archive.saver.adelete_thread(thread_id)

    if if_exists != "replace" and await thread_import.exists():
        if if_exists == "raise":
            raise Conflict(f"thread {thread_import.target} exists: --if-exists is raise; use skip or replace")
        await thread_import.drop()
        return False
    await thread_import.settle(replace if if_exists == "replace" else None)
    return True


async def _named(archive: Archive, thread_ids: Sequence[str]) -> AsyncIterator[str]:
    if thread_ids:
        for thread_id in thread_ids:
            yield thread_id
        return
    after = ""
    while page := await archive.storage.archives.thread_ids(after, PAGE):
        for thread_id in page:
            yield thread_id
        after = page[-1]


def _check_database(uri: str, *, may_be_made: bool) -> None:
    """Refuses a database file that does not exist: opening it would create one without threads. An import may
    create it, but not beside the databases of `lgs up`, which would not read it. Raises `ConfigError`."""
    database = address(uri)
    if database.path is None or database.path.exists():
        return
    beside = sorted(database.path.parent.glob(f"*/{database.path.name}"))
    if beside or not may_be_made:
        hint = (
            f"; `lgs up` keeps the threads of a service in LGS_DATA_DIR={beside[0].parent}" if beside else ""
        )
        raise ConfigError(f"DATABASE_URI: {uri}: there is no such file{hint}")


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Archive]:
    """Opens the database and loads the graphs, whose state types are needed to read checkpoints."""
    cipher = open_cipher(settings)
    async with AsyncExitStack() as stack:
        options = replace(settings.storage_options, direct_uri=None)
        storage = await open_storage(settings.database_uri, options)
        stack.push_async_callback(storage.close)
        persistence = await stack.enter_async_context(open_persistence(settings))
        await storage.note_families()
        await asyncio.to_thread(
            GraphRegistry.load,
            settings.graphs,
            source=settings.source,
            import_paths=settings.import_paths,
            checkpointer=persistence.checkpointer,
            store=persistence.store,
        )
        yield Archive(
            sealed_storage(storage, cipher),
            sealed_saver(persistence.checkpointer, cipher),
            persistence.upkeep,
            ValueCodec(trusted=True),
            settings.checkpointer.ttl.default,
        )


def _file(path: Path, named: Path, mode: Literal["rb", "wb"]) -> IO[bytes]:
    """Opens the file at `path`, compressed if the name of `named` ends in `.gz`."""
    if named.suffix == ".gz":
        return cast("IO[bytes]", gzip.open(path, mode))
    return path.open(mode)
