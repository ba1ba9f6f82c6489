"""`lgs-operator`: connect, lead, act, give back.

The process acts only while it holds the Lease; when it loses it, it ends, and its Deployment starts it again.
Exit code 0 after SIGTERM, 2 for invalid settings, 1 for anything else.
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import AsyncExitStack
from typing import Final, NamedTuple

import aiohttp
import structlog
from aiohttp import web
from prometheus_client import generate_latest

from lgs_operator.alert_watch import secret_of
from lgs_operator.alert_webhooks import AlertWebhooks
from lgs_operator.autoscaler import Autoscaler
from lgs_operator.context import Context
from lgs_operator.dashboard.places import Door
from lgs_operator.dashboard.served import guarded_history, token_in
from lgs_operator.dashboard.server import history_app, serve_loopback
from lgs_operator.dashboard.sources import Kept
from lgs_operator.handlers import ServiceWatch
from lgs_operator.history.service import Histories
from lgs_operator.kube.claim import ClassClaim
from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import ServiceKey
from lgs_operator.kube.leader import LeaderElector
from lgs_operator.kube.lease import LostLease
from lgs_operator.kube.recorder import EventRecorder
from lgs_operator.kube.scope import OperatorScope
from lgs_operator.kube.state import ClusterState
from lgs_operator.kube.workqueue import WorkQueue
from lgs_operator.metrics import Metrics
from lgs_operator.process_setup import prepare, stop_on_signals
from lgs_operator.reconciler import Reconciler
from lgs_operator.settings import Settings, SettingsError, from_environment
from lgs_operator.status.reporter import StatusReporter
from lgs_operator.status.states import ServiceStates
from lgs_operator.webhook_calls import webhook_caller

log = structlog.get_logger(__name__)
MOST_PAGES: Final = 128
"""Most connections to the history from other pods; one address may have half of them."""

LONGEST_KEPT_SECONDS: Final = 15.0
"""Seconds for which an idle connection to a replica is kept at most."""


class _Leases(NamedTuple):
    """What must be held to act: the lead of this installation, and its claim on the operator class."""

    leader: LeaderElector
    claim: ClassClaim


class _Known(NamedTuple):
    """What is offered to clients that ask the operator itself."""

    metrics: Metrics
    histories: Histories


class _Means(NamedTuple):
    """What the parts of the operator work with."""

    cluster: KubeClient
    settings: Settings
    metrics: Metrics
    histories: Histories
    http: aiohttp.ClientSession
    claim: ClassClaim
    webhooks: AlertWebhooks


class _ClassStatus:
    """What the operator reports about itself: its metrics, and why it stays inactive, or None."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self.stays_out: str | None = None

    def changed(self, why: str | None) -> None:
        """Notes why the operator stays inactive, since another installation has the class; None if it is
        active."""
        self.stays_out = why
        self.metrics.stays_out.set(why is not None)


class _Stopped(Exception):
    """Ends the task group when the operator must stop."""


def main() -> int:
    """Runs the operator until SIGTERM or SIGINT."""
    prepare()
    try:
        settings = from_environment()
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    try:
        asyncio.run(operate(settings))
    except LostLease as error:
        log.error("operator.lost_lease", error=str(error))
        return 1
    return 0


async def operate(settings: Settings, stop: asyncio.Event | None = None) -> None:
    """Runs until `stop` is set (SIGTERM and SIGINT set it). Raises `LostLease`."""
    stop = stop or asyncio.Event()
    stop_on_signals(stop)
    async with AsyncExitStack() as stack:
        cluster = await KubeClient.connect()
        stack.push_async_callback(cluster.close)
        metrics = Metrics()
        class_status = _ClassStatus(metrics)
        leader = LeaderElector(cluster, settings)
        await _serve(stack, settings, class_status)
        histories = Histories(time.time)
        await _serve_history(stack, histories, settings)
        if not await _first(leader.acquire(), stop):
            return
        stack.push_async_callback(leader.release)
        claim = ClassClaim(cluster, settings, class_status.changed)
        known, leases = _Known(metrics, histories), _Leases(leader, claim)
        await _act(cluster, known, leases, settings, stop)


async def _act(
    cluster: KubeClient, known: _Known, leases: _Leases, settings: Settings, stop: asyncio.Event
) -> None:
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(_to_replicas(settings.scale_interval))
        caller = await stack.enter_async_context(webhook_caller(settings.webhooks))
        webhooks = AlertWebhooks(caller, secret_of(cluster), known.metrics.alert_webhooks)
        stack.push_async_callback(webhooks.close)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_until(stop))
                tasks.create_task(leases.leader.hold())
                await leases.claim.acquire()
                known.metrics.leading.set(1)
                tasks.create_task(leases.claim.hold())
                means = _Means(cluster, settings, *known, http, leases.claim, webhooks)
                await _work(means, tasks, stop)
        except* _Stopped:
            log.info("operator.stopped")
        except* LostLease as lost:
            raise lost.exceptions[0] from None


def _to_replicas(interval: float) -> aiohttp.ClientSession:
    """The client that asks replicas, `interval` seconds apart. A connection is kept until the next time, not
    for longer: with very many services each replica is asked seldom, and thousands would wait in vain."""
    kept = aiohttp.TCPConnector(keepalive_timeout=min(LONGEST_KEPT_SECONDS, 3 * interval))
    return aiohttp.ClientSession(connector=kept, trust_env=False, auto_decompress=False)


async def _work(means: _Means, tasks: asyncio.TaskGroup, stop: asyncio.Event) -> None:
    """Starts the tasks that reconcile and scale the services of `settings.namespaces`."""
    cluster, settings, metrics, histories, http, claim, webhooks = means

    async def reconcile(key: ServiceKey) -> float | None:
        metrics.services.set(len(state.services))
        metrics.due.set(len(queue))
        return await reconciler.reconcile(key)

    async def crashed(key: ServiceKey, error: Exception) -> None:
        if not isinstance(error, KubeError):
            metrics.internal_errors.labels("reconcile").inc()
        await reporter.report_crash(key, error)

    queue = WorkQueue(reconcile, crashed)
    scope = OperatorScope(cluster, settings, claim.covers)
    state = ClusterState(
        cluster, settings.namespaces, queue.add, scope, secrets_seconds=settings.secrets_seconds
    )
    claim.changed = scope.changed
    recorder = EventRecorder(cluster, settings.identity)
    context = Context(cluster, state, recorder, metrics, http, settings)
    states = ServiceStates()
    reporter = StatusReporter(context, states)
    reconciler = Reconciler(context, states, reporter)
    autoscaler = Autoscaler(context, states, reporter, webhooks, histories=histories)
    watch = ServiceWatch(cluster, state, settings.namespaces)
    tasks.create_task(state.run())
    log.info(
        "operator.started", namespaces=settings.namespaces or "all", operator_class=settings.operator_class
    )
    tasks.create_task(queue.run())
    tasks.create_task(autoscaler.run())
    tasks.create_task(_watch(watch, stop))
    tasks.create_task(watch.relist())


async def _watch(watch: ServiceWatch, stop: asyncio.Event) -> None:
    # kopf takes over the signals while it runs: when it ends, the operator ends
    await watch.run(stop)
    raise _Stopped


async def _serve(stack: AsyncExitStack, settings: Settings, class_status: _ClassStatus) -> None:
    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        why = class_status.stays_out
        return web.Response(text=f"{why or 'ok'}\n", status=503 if why else 200)

    async def exposition(_: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(class_status.metrics.registry), headers={"Content-Type": "text/plain"}
        )

    app = web.Application()
    app.add_routes(
        [web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", exposition)]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "0.0.0.0", settings.port).start()


async def _serve_history(stack: AsyncExitStack, histories: Histories, settings: Settings) -> None:
    """Serves the history on loopback and, with a token, to other pods. If another program has a port, as on a
    node's own network, the history is not served there, and the operator works all the same."""
    source, file = Kept(histories), settings.page_token_file
    try:
        await serve_loopback(stack, history_app(source), settings.history_port)
    except OSError as error:
        log.warning("history.not_served", port=settings.history_port, error=str(error))
    if file is None:
        return
    door = Door(MOST_PAGES)
    app = guarded_history(source, door, token_in(file))
    try:
        await door.serve(stack, app, "0.0.0.0", settings.page_port)
    except OSError as error:
        log.warning("history.not_served", port=settings.page_port, error=str(error))


async def _first(work: object, stop: asyncio.Event) -> bool:
    """True if `work` ended before `stop` was set."""
    acting = asyncio.ensure_future(work)  # type: ignore[call-overload]
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({acting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not acting.done():
        acting.cancel()
        return False
    await acting
    return True


async def _until(stop: asyncio.Event) -> None:
    await stop.wait()
    raise _Stopped


if __name__ == "__main__":
    sys.exit(main())
