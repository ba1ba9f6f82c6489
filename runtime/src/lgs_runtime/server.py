"""The life of one replica, in four steps: open, serve, drain, close.

SIGTERM (or SIGINT): `/ready` answers 503, claiming stops, running work gets its time and the rest is handed
back, while connections are still answered; then the listener closes and everything is closed in the reverse
order of its opening.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

import structlog
import uvicorn

from lgs_runtime import garbage, logs
from lgs_runtime.api.app import create_app
from lgs_runtime.api.custom.application import open_custom_app
from lgs_runtime.api.resources.crons import request_of
from lgs_runtime.api.schemas.encoding import run_json
from lgs_runtime.auth.gate import Gate
from lgs_runtime.cache.response import ResponseCache
from lgs_runtime.checkpoint.fence import Fence, fenced
from lgs_runtime.checkpoint.sweeping import sweep_forever
from lgs_runtime.encryption.context import taking_sealed
from lgs_runtime.encryption.opening import (
    open_cipher,
    sealed_broker,
    sealed_saver,
    sealed_storage,
    sealed_store,
    sealing_entries,
)
from lgs_runtime.errors import ConfigError, RuntimeFault, StorageUnavailable
from lgs_runtime.graphs.assistants import KnownAssistants
from lgs_runtime.graphs.priority import PriorityHandler
from lgs_runtime.graphs.registry import GraphRegistry
from lgs_runtime.persistence import open_persistence
from lgs_runtime.readiness import Readiness, State
from lgs_runtime.runs.crons import Scheduler
from lgs_runtime.runs.expiry import Expiry
from lgs_runtime.runs.pruning import Pruner
from lgs_runtime.services import Services
from lgs_runtime.settings import Settings, masked
from lgs_runtime.storage.opening import open_storage
from lgs_runtime.streams.opening import open_broker
from lgs_runtime.worker.hub import SignalHub
from lgs_runtime.worker.leases import Heartbeat
from lgs_runtime.worker.metrics import Metrics
from lgs_runtime.worker.reaper import Reaper
from lgs_runtime.worker.webhooks import WebhookSender
from lgs_runtime.worker.worker import Worker

DATABASE_PATIENCE_SECONDS = 30.0
DATABASE_RETRY_SECONDS = 1.0
LAST_ANSWERS_SECONDS = 5
KEEP_ALIVE_SECONDS = 75
"""Longer than proxies and load balancers keep an idle connection (60 s), so that it is they who close it:
else a request could meet a connection that this side has just closed."""
SPARE_THREADS = 8
T = TypeVar("T")
log = structlog.get_logger(__name__)


class StartFailed(RuntimeFault):
    """Something this replica needs was not there in time (exit code 1)."""


class Stopped(RuntimeFault):
    """The replica was asked to stop before it had started."""


async def run(settings: Settings) -> None:
    """Lives until SIGTERM or SIGINT. Raises `ConfigError` and `StartFailed`."""
    listeners = [bind(settings)]
    if settings.admin_port is not None:
        own = replace(settings, host="127.0.0.1", port=settings.admin_port, reuse_port=False)
        listeners.append(bind(own, name="LGS_ADMIN_PORT"))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    # Nodes that are plain functions run in threads: as many as there may be runs, so that none waits for a
    # thread.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(settings.concurrency + SPARE_THREADS))
    async with AsyncExitStack() as stack:
        services = await open_services(settings, stack, stop)
        async with serve(services, listeners) as failed:
            await services.worker.start()
            garbage.rarely()
            services.readiness.state = State.SERVING
            log.info("replica.serves", replica=settings.replica_id, graphs=list(services.graphs.ids))
            await _first(stop.wait(), failed)
            await drain(services)
    log.info("replica.closed", replica=settings.replica_id)


async def open_services(settings: Settings, stack: AsyncExitStack, stop: asyncio.Event) -> Services:
    """Opens every part of a replica; `stack` closes them in reverse. The worker does not claim yet."""
    logs.ensure_plain()
    gate = Gate.open(settings)
    cipher = open_cipher(settings)
    storage = await _patiently(
        lambda: open_storage(
            settings.database_uri,
            lease_seconds=settings.lease_seconds,
            versions_limit=settings.versions_limit,
        ),
        stop,
    )
    stack.push_async_callback(storage.close)
    storage = sealed_storage(storage, cipher)
    persistence = await _patiently(lambda: stack.enter_async_context(open_persistence(settings)), stop)
    checkpointer = sealed_saver(persistence.checkpointer, cipher)
    store = sealed_store(persistence.store, cipher)
    metrics = Metrics(settings.concurrency, storage)
    await metrics.start()
    stack.push_async_callback(metrics.close)
    cache = ResponseCache.connect(
        settings.redis_uri,
        settings.service,
        settings.cache_ttl_seconds,
        metrics.cache,
        compression_threshold_bytes=settings.cache_compression_threshold_bytes,
        before=sealing_entries(cipher),
    )
    stack.push_async_callback(cache.close)
    fence = Fence()
    graphs = GraphRegistry.load(
        settings.graphs,
        source=settings.source,
        import_paths=settings.import_paths,
        checkpointer=fenced(checkpointer, fence),
        store=store,
        cache=cache,
    )
    with taking_sealed():
        # What is there already need not be read: a key service that is away must not stop the start.
        await _patiently(lambda: graphs.ensure_assistants(storage), stop)
    streams = sealed_broker(open_broker(settings, metrics.publish_failed), cipher, metrics.publish_failed)
    stack.push_async_callback(streams.close)
    hub = SignalHub(storage)
    stack.push_async_callback(hub.close)
    worker = Worker(
        settings,
        storage=storage,
        graphs=graphs,
        checkpointer=checkpointer,
        streams=streams,
        hub=hub,
        metrics=metrics,
    )
    services = Services(
        settings=settings,
        storage=storage,
        checkpointer=checkpointer,
        store=store,
        upkeep=persistence.upkeep,
        graphs=graphs,
        streams=streams,
        hub=hub,
        worker=worker,
        metrics=metrics,
        readiness=Readiness(storage, streams),
        gate=gate,
        cipher=cipher,
        assistants=KnownAssistants(storage),
        priorities=_priorities(settings),
    )
    await _start_companions(services, fence, stack, stop)
    return services


def _priorities(settings: Settings) -> PriorityHandler | None:
    path = settings.priority_path
    return PriorityHandler.load(path, settings.source, settings.import_paths) if path else None


async def _start_companions(
    services: Services, fence: Fence, stack: AsyncExitStack, stop: asyncio.Event
) -> None:
    """What keeps a replica alive beside its work: its lease, the signals, the reaper, the janitor, the
    webhooks and the crons."""
    settings = services.settings
    heartbeat = Heartbeat(
        services.storage,
        settings.replica_id,
        settings.lease_seconds,
        services.worker.lease_lost,
        fence.held_until,
    )
    await _patiently(heartbeat.start, stop)
    stack.push_async_callback(heartbeat.close)
    await services.hub.start()
    reaper = Reaper(
        services.storage,
        services.checkpointer,
        services.streams,
        services.hub,
        services.metrics,
        lease_seconds=settings.lease_seconds,
        max_attempts=settings.max_attempts,
        run_ttl_hours=settings.run_ttl_hours,
    )
    await stack.enter_async_context(_running(reaper.reap_forever(), "reaper"))
    await stack.enter_async_context(_running(reaper.clean_forever(), "janitor"))
    sender = WebhookSender(
        services.storage, run_json, settings.webhooks, enabled="webhooks" not in settings.http.disabled
    )
    await stack.enter_async_context(_running(sender.send_forever(), "webhooks"))
    scheduler = Scheduler(services, request_of)
    await stack.enter_async_context(_running(scheduler.fire_forever(), "crons"))
    sweeping = sweep_forever(services.store, settings.store.ttl.sweep_interval_minutes)
    await stack.enter_async_context(_running(sweeping, "store"))
    await stack.enter_async_context(_running(Expiry(services).sweep_forever(), "expiry"))
    await stack.enter_async_context(_running(Pruner(services).prune_forever(), "pruning"))


@asynccontextmanager
async def serve(services: Services, listeners: list[socket.socket]) -> AsyncIterator[asyncio.Task[None]]:
    """Answers HTTP while the context is open, with the lifespan of the service's own application around it;
    gives the server's task, which ends only if the server fails. Raises `ConfigError`, `AppFailed`."""
    async with open_custom_app(services.settings) as custom:
        config = uvicorn.Config(
            create_app(services, custom),
            loop="none",
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=LAST_ANSWERS_SECONDS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            server_header=False,
        )
        server = Server(config)
        task = asyncio.create_task(server.serve(sockets=listeners), name="http")
        host, port = listeners[0].getsockname()[:2]
        log.info("http.listens", host=host, port=port)
        try:
            yield task
        finally:
            server.should_exit = True
            await task


class Server(uvicorn.Server):
    """uvicorn without signal handlers: this module's decide when it stops."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none."""
        yield


async def drain(services: Services) -> None:
    """Takes no more work, ends what runs or hands it back; connections are answered meanwhile."""
    services.readiness.state = State.DRAINING
    log.info("replica.drains", running=services.worker.running())
    handed_back, _ = await asyncio.gather(
        services.worker.drain(), asyncio.sleep(services.settings.lame_duck_seconds)
    )
    log.info("replica.drained", handed_back=handed_back)


def bind(settings: Settings, name: str = "LGS_PORT") -> socket.socket:
    """A socket that is bound but does not listen yet. Port 0 is any free one, which is shared with nobody, as
    nobody could name it. Raises `ConfigError` when the address can't be had."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if settings.reuse_port and settings.port:
        if not hasattr(socket, "SO_REUSEPORT"):
            raise ConfigError("--reuse-port: on: must be off where the system has no SO_REUSEPORT")
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as taken:
        listener.close()
        raise ConfigError(
            f"{name}: {settings.host}:{settings.port}: must be a free address: {taken.strerror}"
        ) from taken
    listener.setblocking(False)
    return listener


async def _patiently(step: Callable[[], Awaitable[T]], stop: asyncio.Event) -> T:
    """What a step of the start gives, waiting for a database that is still starting, or has gone again since
    the step before. Raises `StartFailed` and `Stopped`."""
    give_up_at = time.monotonic() + DATABASE_PATIENCE_SECONDS
    while True:
        try:
            return await step()
        except StorageUnavailable as gone:
            if time.monotonic() > give_up_at:
                raise StartFailed(str(gone)) from gone
            log.warning("database.away", reason=str(gone))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), DATABASE_RETRY_SECONDS)
                raise Stopped("asked to stop while the database was away") from gone


@asynccontextmanager
async def _running(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    """A task that lives as long as the context."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_tell_failure)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _tell_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (raised := task.exception()) is not None:
        log.error("task.failed", task=task.get_name(), exc_info=raised)


async def _first(stop: Coroutine[Any, Any, Any], failed: asyncio.Task[None]) -> None:
    """Waits for the signal; raises what the HTTP server raised if it ended before."""
    stopped = asyncio.create_task(stop)
    await asyncio.wait({stopped, failed}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if failed.done():
        failed.result()


def database_message(settings: Settings, reason: str) -> str:
    """One line that says which database could not be reached."""
    return f"DATABASE_URI: {masked(settings.database_uri)}: must be a database that can be reached: {reason}"
