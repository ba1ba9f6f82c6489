"""Creates the runs of due crons, each once, whichever replica creates it.

A due cron is held by one replica for a while. The id of its run is derived from the cron and the due time,
and only one run is stored under an id; so if a replica dies halfway or is slow, there is no second run. All
times that were missed while no replica was running are made up for by one run.
"""

from __future__ import annotations

from contextlib import suppress

import structlog

from lgs_runtime.api.resources.crons import request_of
from lgs_runtime.encryption.cipher import CARRIED
from lgs_runtime.encryption.context import encrypt_with
from lgs_runtime.errors import (
    BudgetUsedUp,
    Conflict,
    Forbidden,
    GraphCircuitOpen,
    HandlerFailed,
    InvalidRequest,
    NotFound,
    QueueFull,
    RefusedByHandler,
)
from lgs_runtime.model import Cron, Priority
from lgs_runtime.runs.admission import new_run, permitted_run, placed
from lgs_runtime.runs.crons import identity_of, next_after, run_id_of
from lgs_runtime.services import Services
from lgs_runtime.storage.actor import acting

AT_A_TIME = 50
HOLD_SECONDS = 30.0
"""Seconds after which a cron whose run could not be created is tried again, by any replica."""
log = structlog.get_logger(__name__)


class CronScheduler:
    """A duty of each replica."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def fire_due(self) -> int:
        """Creates runs of crons that are due now, at most `AT_A_TIME`; returns their number. Raises
        `StorageUnavailable`."""
        made = 0
        for cron in await self._services.storage.crons.claim(AT_A_TIME, HOLD_SECONDS):
            try:
                made += await self._fire(cron)
            except (InvalidRequest, HandlerFailed, RefusedByHandler) as wrong:
                # A value that was valid when it was stored, such as a time zone, may be unknown here, but
                # known to another replica.
                log.error("cron.failed", cron_id=cron.cron_id, reason=str(wrong))
        return made

    async def _fire(self, cron: Cron) -> bool:
        """Creates the run of a cron and advances the cron; returns whether a run was created."""
        made = False
        try:
            made = await self._make(cron)
        except BudgetUsedUp as used_up:
            log.warning("cron.waits", cron_id=cron.cron_id, reason=str(used_up))
            return False
        except QueueFull as full:
            self._services.metrics.rejected(Priority(full.priority))
            log.warning("cron.waits", cron_id=cron.cron_id, reason=str(full))
            return False
        except GraphCircuitOpen as refused:
            log.warning("cron.waits", cron_id=cron.cron_id, reason=str(refused))
            return False
        except NotFound as missing:
            log.warning("cron.deleted", cron_id=cron.cron_id, reason=str(missing))
            with suppress(NotFound):
                await self._services.storage.crons.delete(cron.cron_id)
            return False
        except (Conflict, Forbidden) as refused:
            log.warning("cron.skipped", cron_id=cron.cron_id, reason=str(refused))
        assert cron.next_run_date is not None, "a cron that is due has a time"
        now = max(await self._services.storage.now(), cron.next_run_date)
        following = next_after(cron.schedule, cron.timezone, now, cron.end_time)
        await self._services.storage.crons.advance(cron.cron_id, cron.next_run_date, following)
        return made

    async def _make(self, cron: Cron) -> bool:
        services, request = self._services, request_of(cron)
        if services.ledger is not None:
            # Checked first, so that even very many crons that wait for a budget cost no statements.
            await services.ledger.admit(identity_of(cron))
        encrypt_with(cron.payload.get(CARRIED))
        request, assistant = await permitted_run(services, request)
        new = await placed(
            services, request, assistant, new_run(request, assistant, run_id_of(cron)), cron.cron_id
        )
        with services.circuits.admitted(new.graph_id), acting(identity_of(cron)):
            enqueued = await services.storage.queue.enqueue(new, services.settings.queue_limits)
        if enqueued.run.thread_id != new.thread_id:
            # Another replica created the run, but died before it advanced the cron.
            return False
        services.metrics.arrived(new.priority)
        log.info("cron.fired", cron_id=cron.cron_id, run_id=new.run_id)
        return True
