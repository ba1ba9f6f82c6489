"""The periodic duties of a replica: the name, period and implementation of each. Every replica does all of
them, at its own times; where only one may act, the storage ensures that.

The heartbeat is not among them: it has its own thread, and a process that stands in for it (`heartbeat.py`,
`keeper.py`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from lgs_runtime.api.schemas.record_json import run_json
from lgs_runtime.background.cleanup import Cleanup
from lgs_runtime.background.cron_scheduler import CronScheduler
from lgs_runtime.background.expiry import Expiry
from lgs_runtime.background.pins import PERIOD_SECONDS, PinWatch
from lgs_runtime.background.pruning import Pruner
from lgs_runtime.background.reaper import Reaper
from lgs_runtime.background.unserved import UnservedRuns
from lgs_runtime.background.webhook_receivers import open_client
from lgs_runtime.background.webhooks import ANSWER_SECONDS, WebhookSender
from lgs_runtime.budgets.ledger import EXPIRE_SECONDS
from lgs_runtime.budgets.ledger import TURN_SECONDS as TURN_OF_BUDGETS
from lgs_runtime.budgets.window import SIZES
from lgs_runtime.cache.preloading import TURN_SECONDS, Preloader
from lgs_runtime.model_usage import NO_GRAPH
from lgs_runtime.periodic import repeatedly, running
from lgs_runtime.services import Services
from lgs_runtime.store.sweeping import sweep

REAPS_PER_LEASE = 2
BUSY = 0.8
"""Share of slots in use from which nothing is computed ahead for the cache any more."""


@dataclass(frozen=True, slots=True)
class Duty:
    """A duty done every `seconds`, each pause randomly varied by up to the share `spread`; the first time
    `at_once`, or after a pause."""

    name: str
    seconds: float
    turn: Callable[[], Awaitable[object]]
    at_once: bool = True
    spread: float = 0.2


async def start_duties(services: Services, stack: AsyncExitStack) -> None:
    """Starts all duties; they run until `stack` is closed."""
    http = await stack.enter_async_context(open_client(services.settings.webhooks, ANSWER_SECONDS))
    sender = webhook_sender(services)
    stack.push_async_callback(sender.close)
    for duty in duties_of(services, partial(sender.send_all_due, http)):
        work = repeatedly(duty.name, duty.turn, duty.seconds, at_once=duty.at_once, spread=duty.spread)
        await stack.enter_async_context(running(work, duty.name))


def duties_of(services: Services, send_webhooks: Callable[[], Awaitable[object]]) -> tuple[Duty, ...]:
    """The list of duties, according to a replica's settings."""
    webhooks = Duty("webhooks", 1.0, send_webhooks)
    return (
        *_of_runs(services),
        webhooks,
        *_of_data(services),
        _of_the_cache(services),
        *_of_budgets(services),
        *_of_pins(services),
    )


def webhook_sender(services: Services) -> WebhookSender:
    """The sender of webhooks, under the rules of the settings."""
    settings = services.settings
    return WebhookSender(
        services.storage.webhooks,
        run_json,
        settings.webhooks,
        enabled="webhooks" not in settings.http.disabled,
    )


def _of_the_cache(services: Services) -> Duty:
    slots, most = services.worker.slots, BUSY * services.settings.concurrency
    preloader = Preloader(
        services.cache,
        busy=lambda: slots.used >= most,
        store=services.store,
        followed=partial(services.metrics.models.follow, NO_GRAPH),
    )
    # No spread: the lateness of its turns shows whether the event loop has time.
    return Duty("cache", TURN_SECONDS, preloader.turn, at_once=False, spread=0.0)


def _of_budgets(services: Services) -> tuple[Duty, ...]:
    if (ledger := services.ledger) is not None:
        return (Duty("budgets", TURN_OF_BUDGETS, ledger.turn),)
    # Without budgets in the manifest, the spending of former ones is deleted when its hour or day is over.
    return (Duty("budgets", EXPIRE_SECONDS, partial(services.storage.spending.expire, SIZES)),)


def _of_pins(services: Services) -> tuple[Duty, ...]:
    settings = services.settings
    if settings.pinning is None:
        return ()
    own = settings.revision if settings.pinning == "open" else None
    watch = PinWatch(
        services.storage.pins, services.metrics.pins, wait_seconds=settings.pinned_wait_seconds, revision=own
    )
    return (Duty("pins", PERIOD_SECONDS, watch.turn),)


def _of_runs(services: Services) -> tuple[Duty, ...]:
    settings = services.settings
    reaper = Reaper(
        services.storage,
        services.checkpointer,
        services.streams,
        services.notifier,
        services.metrics,
        replica=settings.replica_id,
        max_attempts=settings.max_attempts,
        tracing=services.tracing,
    )
    unserved = UnservedRuns(
        services.storage,
        services.checkpointer,
        services.streams,
        services.notifier,
        graphs=services.graphs.ids,
        wait_seconds=settings.unserved_seconds,
    )
    return (
        Duty("unserved", unserved.interval_seconds, unserved.turn, at_once=False),
        Duty("reaper", settings.lease_seconds / REAPS_PER_LEASE, reaper.reap_once, at_once=False, spread=0.3),
        Duty("crons", 1.0, CronScheduler(services).fire_due),
    )


def _of_data(services: Services) -> tuple[Duty, ...]:
    settings = services.settings
    cleanup = Cleanup(services.storage, services.checkpointer, run_ttl_hours=settings.run_ttl_hours)
    store_seconds = settings.store.ttl.sweep_interval_minutes * 60
    thread_seconds = settings.checkpointer.ttl.sweep_interval_minutes * 60
    return (
        Duty("cleanup", 60.0, cleanup.clean_once),
        Duty("store", store_seconds, partial(sweep, services.store), at_once=False),
        Duty("expiry", thread_seconds, Expiry(services).sweep_once),
        Duty("pruning", 60.0, Pruner(services).prune_once, at_once=False),
    )
