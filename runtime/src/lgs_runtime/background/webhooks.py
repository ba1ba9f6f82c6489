"""Sends webhooks when runs have ended: POSTs the result of each to the URL that its client gave.

Delivery is at least once: the call is stored with the end of the run, and is deleted only when the receiver
has answered 2xx, after `MOST_ATTEMPTS`, or when a rule forbids it. Any replica may send it, so nothing is
lost if one dies; a receiver whose answer was lost is called again, and can recognise the run by its `run_id`.
A slow receiver delays only its own calls (`webhook_slots.py`): a call that gets no slot in time is given
back, without counting as an attempt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import httpx
import structlog

from lgs_runtime.background.webhook_receivers import Forbidden, call
from lgs_runtime.background.webhook_slots import CallSlots, host_of
from lgs_runtime.backoff import Backoff
from lgs_runtime.graphs.webhook_section import WebhookSection
from lgs_runtime.model import Run, Webhook, failure_of, unrooted, without_questions
from lgs_runtime.periodic import log_failure
from lgs_runtime.storage.contract import Webhooks
from lgs_runtime.streams.json_encoding import encode

CLAIM = 20
CALLS = 100
"""Most calls in progress at a time: as many as the HTTP client has connections."""
HELD = 2 * CALLS
"""Most calls in progress or waiting here for a slot of their receiver."""
ANSWER_SECONDS = 10.0
SLOT_SECONDS = 2.0
"""How long a call waits for a slot: less than `RETRY_SECONDS` leaves besides `ANSWER_SECONDS`."""
RETRY_SECONDS = 15.0
"""Pause before the second attempt; it grows with each further attempt. Longer than an answer may take, so
that two replicas don't send the same call at the same time."""
BACKOFF: Final = Backoff(first_seconds=RETRY_SECONDS, longest_seconds=600.0)
MOST_ATTEMPTS = 12
"""Attempts for one call, spread over about an hour."""
log = structlog.get_logger(__name__)


def pauses() -> list[float]:
    """Seconds between each attempt and the next."""
    return [BACKOFF.pause(attempt) for attempt in range(1, MOST_ATTEMPTS + 1)]


class WebhookSender:
    """A duty of each replica. `describe` returns the JSON of a run; `section` says which receivers may be
    called; without `enabled`, none is called."""

    def __init__(
        self,
        webhooks: Webhooks,
        describe: Callable[[Run], Mapping[str, Any]],
        section: WebhookSection | None = None,
        *,
        enabled: bool = True,
    ) -> None:
        self._webhooks = webhooks
        self._describe = describe
        self._section = section or WebhookSection()
        self._enabled = enabled
        self._slots = CallSlots(CALLS)
        self._tasks: set[asyncio.Task[None]] = set()

    async def send_all_due(self, http: httpx.AsyncClient) -> None:
        """Starts all calls that are due, in the background; waits only while too many are in progress. Raises
        `StorageUnavailable`."""
        while await self.send_due(http) >= CLAIM:
            while len(self._tasks) > HELD - CLAIM:
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    async def send_due(self, http: httpx.AsyncClient) -> int:
        """Starts up to `CLAIM` of the calls that are due now; returns their number. Raises
        `StorageUnavailable`."""
        due = await self._webhooks.claim(CLAIM, pauses())
        for webhook in due:
            task = asyncio.create_task(self._send_in_turn(http, webhook), name="webhook")
            self._tasks.add(task)
            task.add_done_callback(self._ended)
        return len(due)

    async def settled(self) -> None:
        """Waits for the started calls."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Cancels the started calls: another replica sends them later."""
        for task in self._tasks:
            task.cancel()
        await self.settled()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failed := task.exception()) is not None:
            log_failure("webhooks", failed)

    async def _send_in_turn(self, http: httpx.AsyncClient, webhook: Webhook) -> None:
        host = host_of(webhook.url)
        if not await self._slots.acquire(host, SLOT_SECONDS):
            await self._webhooks.release(webhook.run.run_id, RETRY_SECONDS)
            return
        try:
            await self._send(http, webhook)
        finally:
            self._slots.release(host)

    async def _send(self, http: httpx.AsyncClient, webhook: Webhook) -> None:
        run_id, attempt = webhook.run.run_id, webhook.attempt
        try:
            refused = await self._refusal(http, webhook)
        except Forbidden as rule:
            log.error("webhook.forbidden", run_id=run_id, rule=str(rule))
            await self._webhooks.drop(run_id)
            return
        if refused is None:
            log.info("webhook.sent", run_id=run_id, attempt=attempt)
        elif attempt < MOST_ATTEMPTS:
            log.warning("webhook.refused", run_id=run_id, attempt=attempt, reason=refused)
            return
        else:
            log.error("webhook.given_up", run_id=run_id, attempt=attempt, reason=refused)
        await self._webhooks.drop(run_id)

    async def _refusal(self, http: httpx.AsyncClient, webhook: Webhook) -> str | None:
        """Calls the receiver; returns why it did not accept the call, None if it did. Raises `Forbidden`."""
        if not self._enabled:
            raise Forbidden("http.disable_webhooks: true: nobody is called")
        fields = {**payload(self._describe(webhook.run), webhook), "webhook_sent_at": datetime.now(UTC)}
        allowed = self._section.allowed_fields
        body = encode(
            fields if allowed is None else {name: fields[name] for name in fields if name in allowed}
        )
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await call(http, self._section, webhook.url, body)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError, ValueError) as failed:
            return f"{type(failed).__name__}: {failed}"
        return None if answer.is_success else f"it answered {answer.status_code}"


def payload(described: Mapping[str, Any], webhook: Webhook) -> dict[str, Any]:
    """The body of a call: the run, its start and end, its error if it failed, and its final values."""
    run = webhook.run
    failed = {} if run.error is None else {"error": failure_of(run.error)}
    return {
        **described,
        **failed,
        "run_started_at": run.claimed_at,
        "run_ended_at": run.updated_at,
        "values": unrooted(without_questions(webhook.values)),
    }
