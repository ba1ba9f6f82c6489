"""Crons: when their runs are due, and that each is made once, whichever replica makes it.

A cron that is due is given to one replica for a while. The id of its run is derived from the cron and the due
time, and a run is stored once under its id; so a replica that dies halfway, or is slow, makes no second one.
What was missed while no replica lived is made up for by one run.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import structlog
from cronsim import CronSim, CronSimError

from lgs_runtime.encryption.cipher import CARRIED
from lgs_runtime.encryption.context import encrypt_with
from lgs_runtime.errors import (
    Conflict,
    Forbidden,
    HandlerFailed,
    InvalidRequest,
    NotFound,
    QueueFull,
    RefusedByHandler,
)
from lgs_runtime.model import Cron, Priority
from lgs_runtime.repeating import repeatedly
from lgs_runtime.runs.admission import new_run, permitted_run, placed
from lgs_runtime.runs.requests import RunRequest
from lgs_runtime.services import Services
from lgs_runtime.storage.actor import acting

POLL_SECONDS = 1.0
AT_A_TIME = 50
HOLD_SECONDS = 30.0
"""After so long a cron whose run could not be made is tried again, by any replica."""
FIELDS = 5
log = structlog.get_logger(__name__)


def zone(name: str | None) -> ZoneInfo:
    """The time zone of that name; UTC for None. Raises `InvalidRequest`."""
    try:
        return ZoneInfo(name or "UTC")
    except (KeyError, ValueError, OSError) as unknown:
        raise InvalidRequest(
            f"timezone: {name!r}: must be a name of the IANA database, such as Europe/Berlin"
        ) from unknown


def next_after(
    schedule: str, timezone: str | None, moment: datetime, end_time: datetime | None = None
) -> datetime | None:
    """The first time of a schedule later than `moment`; None when that is later than `end_time`, or never.

    A time that a change to summer time skips comes as soon as the clocks have changed. Raises
    `InvalidRequest`.
    """
    local = moment.astimezone(zone(timezone))
    try:
        if len(schedule.split()) != FIELDS:
            raise CronSimError("Wrong number of fields")
        following: datetime = next(CronSim(schedule, local))
    except CronSimError as wrong:
        raise InvalidRequest(
            f"schedule: {schedule!r}: must be minute, hour, day of month, month and day of week, "
            f"such as '0 9 * * 1-5': {wrong}"
        ) from wrong
    except StopIteration:
        return None
    utc = following.astimezone(zone(None))
    return None if end_time is not None and utc > end_time else utc


def run_id_of(cron: Cron) -> str:
    """The id of the run that is due now, the same whoever makes it."""
    assert cron.next_run_date is not None, "a cron that is due has a time"
    return str(uuid5(UUID(cron.cron_id), cron.next_run_date.astimezone(zone(None)).isoformat()))


def identity_of(cron: Cron) -> str | None:
    """In whose name the runs of a cron are made."""
    return None if cron.caller is None else str(cron.caller["identity"])


class Scheduler:
    """One loop, to be run as a task of `opening.py`; it ends by cancellation. `request_of` gives the request
    of a cron's runs."""

    def __init__(self, services: Services, request_of: Callable[[Cron], RunRequest]) -> None:
        self._services = services
        self._request_of = request_of

    async def fire_forever(self) -> None:
        """Makes the runs that are due, every second."""
        await repeatedly("crons", self.fire_due, POLL_SECONDS)

    async def fire_due(self) -> int:
        """Makes the runs that are due now, some at a time; how many. Raises `StorageUnavailable`."""
        made = 0
        for cron in await self._services.storage.claim_crons(AT_A_TIME, HOLD_SECONDS):
            try:
                made += await self._fire(cron)
            except (InvalidRequest, HandlerFailed, RefusedByHandler) as wrong:
                # What was valid when it was stored may not be here, such as a time zone: another may know it.
                log.error("cron.failed", cron_id=cron.cron_id, reason=str(wrong))
        return made

    async def _fire(self, cron: Cron) -> bool:
        """Makes the run of a cron and advances it; whether there is a run."""
        made = False
        try:
            made = await self._make(cron)
        except QueueFull as full:
            self._services.metrics.rejected(Priority(full.priority))
            log.warning("cron.waits", cron_id=cron.cron_id, reason=str(full))
            return False
        except NotFound as missing:
            log.warning("cron.deleted", cron_id=cron.cron_id, reason=str(missing))
            with suppress(NotFound):
                await self._services.storage.delete_cron(cron.cron_id)
            return False
        except (Conflict, Forbidden) as refused:
            log.warning("cron.skipped", cron_id=cron.cron_id, reason=str(refused))
        assert cron.next_run_date is not None, "a cron that is due has a time"
        now = max(await self._services.storage.now(), cron.next_run_date)
        following = next_after(cron.schedule, cron.timezone, now, cron.end_time)
        await self._services.storage.advance_cron(cron.cron_id, cron.next_run_date, following)
        return made

    async def _make(self, cron: Cron) -> bool:
        services, request = self._services, self._request_of(cron)
        encrypt_with(cron.payload.get(CARRIED))
        request, assistant = await permitted_run(services, request)
        new = await placed(
            services, request, assistant, new_run(request, assistant, run_id_of(cron)), cron.cron_id
        )
        with acting(identity_of(cron)):
            enqueued = await services.storage.enqueue(new, services.settings.queue_limits)
        if enqueued.run.thread_id != new.thread_id:
            # Another replica made it and did not live to say so.
            return False
        services.metrics.arrived(new.priority)
        log.info("cron.fired", cron_id=cron.cron_id, run_id=new.run_id)
        return True
