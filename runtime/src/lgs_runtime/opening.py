"""Opens every part of a replica, each after the parts that it needs, and starts its background tasks.

A database that is still starting, or goes away between two steps, is waited for. The caller's stack closes
all parts in reverse order.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING, TypeVar

import structlog

from lgs_runtime import logs
from lgs_runtime.api import loopback
from lgs_runtime.auth.access_control import AccessControl
from lgs_runtime.background.duties import start_duties
from lgs_runtime.background.heartbeat import Heartbeat
from lgs_runtime.background.keeper_process import KeeperProcess
from lgs_runtime.breaker.circuit import Circuit
from lgs_runtime.breaker.exposition import CircuitSeries
from lgs_runtime.breaker.registry import CIRCUITS
from lgs_runtime.budgets.exposition import BudgetSeries
from lgs_runtime.budgets.ledger import Ledger
from lgs_runtime.cache.current import serving
from lgs_runtime.cache.exposition import CacheCollector
from lgs_runtime.cache.factory import open_cache
from lgs_runtime.cache.manager import CacheManager
from lgs_runtime.checkpoint.wrappers.fence import Fence, fenced
from lgs_runtime.database.addresses import masked
from lgs_runtime.encryption.cipher import Cipher
from lgs_runtime.encryption.context import taking_sealed
from lgs_runtime.encryption.wrapping import (
    open_cipher,
    sealed_broker,
    sealed_saver,
    sealed_storage,
    sealed_store,
    sealing_entries,
)
from lgs_runtime.errors import RuntimeFault, StorageUnavailable
from lgs_runtime.graphs.assistants import KnownAssistants
from lgs_runtime.graphs.circuits import GraphCircuits
from lgs_runtime.graphs.factories import identity_of_caller
from lgs_runtime.graphs.priority import PriorityHandler
from lgs_runtime.graphs.registry import GraphRegistry
from lgs_runtime.graphs.revision import revision_of
from lgs_runtime.metrics import Metrics
from lgs_runtime.model import Release
from lgs_runtime.notifier import Notifier
from lgs_runtime.periodic import running
from lgs_runtime.persistence import Persistence, open_persistence
from lgs_runtime.readiness import Readiness
from lgs_runtime.services import Services
from lgs_runtime.settings import Settings
from lgs_runtime.storage.backends import open_storage
from lgs_runtime.storage.contract import Storage
from lgs_runtime.streams.brokers import open_broker
from lgs_runtime.streams.contract import StreamBroker
from lgs_runtime.worker.answers import AnswerCache
from lgs_runtime.worker.worker import Worker

if TYPE_CHECKING:
    from lgs_runtime.tracing.tracer import Tracing

DATABASE_PATIENCE_SECONDS = 30.0
DATABASE_RETRY_SECONDS = 1.0
T = TypeVar("T")
log = structlog.get_logger(__name__)


class StartFailed(RuntimeFault):
    """Something this replica needs was not there in time (exit code 1)."""


class Stopped(RuntimeFault):
    """The replica was asked to stop before it had started."""


async def open_services(settings: Settings, stack: AsyncExitStack, stop: asyncio.Event) -> Services:
    """Opens every part of a replica; `stack` closes them in reverse order. The worker does not claim yet.

    Raises `ConfigError`, `StartFailed`, and `Stopped` if `stop` is set while waiting for the database.
    """
    logs.ensure_plain()
    # Before any application code is imported, which may create its clients on import.
    loopback.install()
    opening = _Opening(settings, stack, stop)
    access, cipher = AccessControl.open(settings), open_cipher(settings)
    tracing = opening.tracing()
    storage = await opening.storage(cipher)
    kept = await opening.persistence(cipher)
    await opening.patiently(storage.note_families)
    cache = opening.cache(cipher)
    metrics = Metrics(settings.concurrency if settings.role.executes else 0, storage.queue)
    metrics.show(CacheCollector(cache))
    if tracing is not None:
        metrics.show(tracing.counts)
    await metrics.start()
    stack.push_async_callback(metrics.close)
    ledger = opening.ledger(storage, metrics)
    fence = Fence(patience_seconds=settings.lease_seconds)
    graphs = await opening.graphs(kept, fence, cache)
    with taking_sealed():
        # Existing assistants need not be decrypted: a key service that is away must not prevent the start.
        await opening.patiently(lambda: graphs.ensure_assistants(storage))
    streams = opening.streams(cipher, metrics)
    notifier = Notifier(storage)
    stack.push_async_callback(notifier.close)
    circuits = GraphCircuits(settings.circuits)
    await opening.circuits(circuits, metrics)
    services = Services(
        settings=settings,
        storage=storage,
        checkpointer=kept.checkpointer,
        store=kept.store,
        upkeep=kept.upkeep,
        graphs=graphs,
        cache=cache,
        streams=streams,
        notifier=notifier,
        worker=Worker(
            settings,
            storage=storage,
            graphs=graphs,
            checkpointer=kept.checkpointer,
            streams=streams,
            notifier=notifier,
            metrics=metrics,
            circuits=circuits,
            answers=await opening.answers(cache),
            tracing=tracing,
            lease_held=fence.is_held,
        ),
        metrics=metrics,
        readiness=Readiness(storage, streams),
        access=access,
        cipher=cipher,
        assistants=KnownAssistants(storage.assistants),
        circuits=circuits,
        priorities=_priorities(settings),
        ledger=ledger,
        tracing=tracing,
    )
    await opening.companions(services, fence)
    return services


class _Opening:
    """The steps of one start."""

    def __init__(self, settings: Settings, stack: AsyncExitStack, stop: asyncio.Event) -> None:
        self._settings = settings
        self._stack = stack
        self._stop = stop

    def tracing(self) -> Tracing | None:
        """Tracing of runs, closed after the parts that it traces; None if it is off. If its packages are not
        installed, the replica logs a warning and serves without it."""
        settings, options = self._settings, self._settings.tracing
        if options is None:
            return None
        try:
            from lgs_runtime.tracing.tracer import Tracing  # noqa: PLC0415 - an extra, which takes its time
        except ImportError as missing:
            log.warning("tracing.not_installed", reason=str(missing), install="lgs-runtime[tracing]")
            return None
        tracing = Tracing(options, settings.service, settings.replica_id, version("lgs-runtime"))
        self._stack.push_async_callback(tracing.close)
        return tracing

    async def storage(self, cipher: Cipher | None) -> Storage:
        """The storage of queue and records, encrypted with `cipher` if there is one."""
        opened = await self.patiently(
            lambda: open_storage(self._settings.database_uri, self._settings.storage_options)
        )
        self._stack.push_async_callback(opened.close)
        return sealed_storage(opened, cipher)

    async def persistence(self, cipher: Cipher | None) -> Persistence:
        """Checkpointer and store, encrypted with `cipher` if there is one, and the checkpointer's upkeep."""
        opened = await self.patiently(
            lambda: self._stack.enter_async_context(open_persistence(self._settings))
        )
        return replace(
            opened,
            checkpointer=sealed_saver(opened.checkpointer, cipher),
            store=sealed_store(opened.store, cipher),
        )

    def cache(self, cipher: Cipher | None) -> CacheManager:
        """The cache of results, which encrypts the entries that it shares."""
        cache = open_cache(
            self._settings.redis_uri,
            self._settings.service,
            self._settings.cache_ttl_seconds,
            compression_threshold_bytes=self._settings.cache_compression_threshold_bytes,
            before=sealing_entries(cipher),
            user=identity_of_caller,
        )
        self._stack.push_async_callback(cache.close)
        self._stack.enter_context(serving(cache))
        return cache

    def ledger(self, storage: Storage, metrics: Metrics) -> Ledger | None:
        """The ledger of spending, written a last time at the end; None if there are no budgets."""
        if self._settings.budgets is None:
            return None
        ledger = Ledger(self._settings.budgets, storage.spending, database_id=storage.database_id)
        metrics.models.note = ledger.note
        metrics.show(BudgetSeries(ledger))
        self._stack.push_async_callback(ledger.close)
        return ledger

    async def graphs(self, kept: Persistence, fence: Fence, cache: CacheManager) -> GraphRegistry:
        """The graphs, whose checkpointer is fenced by the replica's lease."""
        return await asyncio.to_thread(
            GraphRegistry.load,
            self._settings.graphs,
            source=self._settings.source,
            import_paths=self._settings.import_paths,
            checkpointer=fenced(kept.checkpointer, fence),
            store=kept.store,
            cache=cache,
        )

    async def answers(self, cache: CacheManager) -> AnswerCache:
        """The cache of answers of whole runs, which are valid for one revision of the graphs."""
        settings, revision = self._settings, ""
        if settings.answers:
            folders = (settings.source, *settings.import_paths)
            revision = await asyncio.to_thread(
                revision_of, folders, settings.file_env, settings.revision_digest
            )
            log.info("answers.cached", graphs=sorted(settings.answers), revision=revision)
        return AnswerCache(settings.answers, cache, revision)

    async def circuits(self, around: GraphCircuits, metrics: Metrics) -> None:
        """Shows all circuits, around graphs and in their code; shares them through Redis if there is one."""

        def all_of_them() -> list[Circuit]:
            return [*around.all(), *CIRCUITS.all()]

        metrics.show(CircuitSeries(all_of_them))
        if self._settings.redis_uri is not None:
            from lgs_runtime.breaker.redis_sharing import RedisSharing  # noqa: PLC0415 - only drivers in use

            sharing = RedisSharing.connect(self._settings.redis_uri, self._settings.service, all_of_them)
            self._stack.push_async_callback(sharing.close)
            await self._stack.enter_async_context(running(sharing.run(), "circuits"))
            # Open circuits must be known before the first claim: waiting runs would be tried, and fail.
            await sharing.first_exchange()

    def streams(self, cipher: Cipher | None, metrics: Metrics) -> StreamBroker:
        """The broker that carries events to clients that follow runs; encrypts if there is a `cipher`."""
        broker = open_broker(self._settings, metrics.publish_failed)
        streams = sealed_broker(broker, cipher, metrics.publish_failed)
        self._stack.push_async_callback(streams.close)
        return streams

    async def companions(self, services: Services, fence: Fence) -> None:
        """Starts the background tasks of a replica: its lease, the signals, and its duties. A replica that
        executes nothing holds no runs, so it has no lease, and others do not count it as taking runs."""
        if self._settings.role.executes:
            await self._lease(services, fence)
        await services.notifier.start()
        await start_duties(services, self._stack)

    async def _lease(self, services: Services, fence: Fence) -> None:
        settings = self._settings

        def lost() -> None:
            fence.lost()
            services.worker.lease_lost()

        heartbeat = Heartbeat(
            services.storage.leases,
            settings.replica_id,
            settings.lease_seconds,
            lost,
            graphs=services.graphs.ids,
            release=Release(settings.revision or None, settings.canary_percent, settings.pinning),
            on_held=fence.held_until,
            keeper=KeeperProcess(
                settings.database_uri, settings.replica_id, settings.lease_seconds, settings.stall_seconds
            ),
        )
        await self.patiently(heartbeat.start)
        self._stack.push_async_callback(heartbeat.close)
        # Others must not leave runs to this replica during a warm-up, or if its application never starts.
        await self.patiently(lambda: services.storage.queue.leave(settings.replica_id))

    async def patiently(self, step: Callable[[], Awaitable[T]]) -> T:
        """The result of a step of the start. Waits for a database that is still starting, or has gone away
        since the step before. Raises `StartFailed` and `Stopped`."""
        give_up_at = time.monotonic() + DATABASE_PATIENCE_SECONDS
        while True:
            try:
                return await step()
            except StorageUnavailable as gone:
                shown = masked(self._settings.database_uri)
                if time.monotonic() > give_up_at:
                    raise StartFailed(
                        f"DATABASE_URI: {shown}: must be a database that can be reached: {gone}"
                    ) from gone
                log.warning("database.away", reason=str(gone), database=shown)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), DATABASE_RETRY_SECONDS)
                    raise Stopped("asked to stop while the database was away") from gone


def _priorities(settings: Settings) -> PriorityHandler | None:
    path = settings.priority_path
    return PriorityHandler.load(path, settings.source, settings.import_paths) if path else None
