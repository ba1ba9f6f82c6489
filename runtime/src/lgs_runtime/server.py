"""The life of one replica, in four steps: open (`opening.py`), serve, drain, close.

On SIGTERM (or SIGINT), `/ready` answers 503, claiming stops, running work gets its time and the rest is
handed back, while connections are still answered. Then the listener closes, and all parts are closed in the
reverse order of their opening.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any

import structlog
import uvicorn
from starlette.types import ASGIApp

from lgs_runtime import gc_tuning
from lgs_runtime.api.app import create_app
from lgs_runtime.api.custom.application import open_custom_app
from lgs_runtime.api.http.root_router import ProbesOnly
from lgs_runtime.api.loopback import answering
from lgs_runtime.errors import ConfigError
from lgs_runtime.opening import open_services
from lgs_runtime.readiness import State
from lgs_runtime.services import Services
from lgs_runtime.settings import Settings
from lgs_runtime.stopping import SIGNALS, end
from lgs_runtime.warmup import warm_up
from lgs_runtime.worker.lending import Threads

LAST_ANSWERS_SECONDS = 5
KEEP_ALIVE_SECONDS = 75
"""How long an idle connection is kept: longer than proxies and load balancers do (60 s), so that they close
it. Otherwise a request could arrive on a connection that this side has just closed."""
BLOCKED_SECONDS = 2.0
"""How long a signal waits for the event loop, before the replica takes work."""
SPARE_THREADS = 8
log = structlog.get_logger(__name__)


async def run(settings: Settings, loaded: Callable[[], None]) -> None:
    """Runs a replica until SIGTERM or SIGINT; calls `loaded` when all of the application's code is loaded.

    Raises `ConfigError`, `StartFailed` and `Stopped`.
    """
    listeners = [bind(settings)]
    if settings.admin_port is not None:
        own = replace(settings, host="127.0.0.1", port=settings.admin_port, reuse_port=False)
        listeners.append(bind(own, name="LGS_ADMIN_PORT"))
    stop = asyncio.Event()
    # Nodes that are plain functions run in threads. There is one for each run, so that none has to wait.
    threads = Threads(settings.concurrency + SPARE_THREADS)
    asyncio.get_running_loop().set_default_executor(threads)
    async with AsyncExitStack() as stack:
        services = await open_services(settings, stack, stop)
        services.worker.slots.lending.threads = threads
        if services.tracing is not None:
            services.tracing.serve()
        async with serve(services, listeners, loaded) as failed:
            # Until here a signal ends the process at once (`stopping.py`).
            with _heard_though_blocked(stop):
                await prepare(services, stop)
            for number in SIGNALS:
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
            await take_work(services)
            gc_tuning.tune()
            await _first(stop.wait(), failed)
            await drain(services)
    log.info("replica.closed", replica=settings.replica_id)


async def prepare(services: Services, stop: asyncio.Event) -> None:
    """Prepares an open replica for work."""
    if services.settings.role.executes:
        await warm_up(services, stop)


@contextmanager
def _heard_though_blocked(stop: asyncio.Event) -> Iterator[None]:
    """Ends the process on a signal even if application code blocks the event loop, which then can't handle
    the signal. Used while nothing has been claimed."""
    loop = asyncio.get_running_loop()

    def end_unheard() -> None:
        if not stop.is_set():
            end()

    def asked(_number: int, _frame: object) -> None:
        loop.call_soon_threadsafe(stop.set)
        late = threading.Timer(BLOCKED_SECONDS, end_unheard)
        late.daemon = True
        late.start()

    for number in SIGNALS:
        signal.signal(number, asked)
    yield


async def take_work(services: Services) -> None:
    """Starts the work of an open replica, and makes it ready."""
    settings = services.settings
    if settings.role.executes:
        await services.worker.start()
    services.readiness.state = State.SERVING
    log.info(
        "replica.serves",
        replica=settings.replica_id,
        role=settings.role.value,
        graphs=list(services.graphs.ids),
    )


@asynccontextmanager
async def serve(
    services: Services, listeners: list[socket.socket], loaded: Callable[[], None] = lambda: None
) -> AsyncIterator[asyncio.Task[None]]:
    """Answers HTTP while the context is open, inside the lifespan of the service's own application; yields
    the server's task, which ends only if the server fails. A replica that only executes answers only the
    probes from outside, but the whole API to its own code. Raises `ConfigError`, `AppFailed`."""
    http = services.settings.http
    with answering(http.mount_prefix) as inside:
        if http.app is not None:
            # The application's lifespan may call the API already.
            inside.app = create_app(services)
        async with open_custom_app(services.settings) as custom:
            loaded()
            inside.app = create_app(services, custom)
            outside = inside.app if services.settings.role.answers else ProbesOnly(inside.app)
            async with _listening(outside, listeners, _last_answers(services.settings)) as task:
                yield task


def _last_answers(settings: Settings) -> int:
    """Seconds that open requests get when the replica closes. On a replica that executes runs, they have had
    the time of the drain already; runs that are only followed may take as long on another replica."""
    return (
        LAST_ANSWERS_SECONDS
        if settings.role.executes
        else max(LAST_ANSWERS_SECONDS, round(settings.drain_seconds))
    )


@asynccontextmanager
async def _listening(
    app: ASGIApp, listeners: list[socket.socket], last_answers: int
) -> AsyncIterator[asyncio.Task[None]]:
    config = uvicorn.Config(
        app,
        loop="none",
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=last_answers,
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
    """uvicorn without its signal handlers: those of this module decide when it stops."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures no signals."""
        yield


async def drain(services: Services) -> None:
    """Takes no more work, and finishes running work or hands it back; connections are answered meanwhile."""
    services.readiness.state = State.DRAINING
    services.cache.stop_refreshing()
    log.info("replica.drains", running=services.worker.running())
    handed_back, _ = await asyncio.gather(
        services.worker.drain(), asyncio.sleep(services.settings.lame_duck_seconds)
    )
    log.info("replica.drained", handed_back=handed_back)


def bind(settings: Settings, name: str = "LGS_PORT") -> socket.socket:
    """A socket that is bound but does not listen yet. Port 0 means any free port, which is not shared, as no
    other process could name it. Raises `ConfigError` if the address is not available."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
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


async def _first(stop: Coroutine[Any, Any, Any], failed: asyncio.Task[None]) -> None:
    """Waits for the stop signal; if the HTTP server ends before, raises what it raised."""
    stopped = asyncio.create_task(stop)
    await asyncio.wait({stopped, failed}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if failed.done():
        failed.result()
