"""Calls the receivers of alerts: each call by itself, repeated with growing pauses until the receiver takes
it.

Only the latest notification of an alert is sent, and at most two new ones in a minute. A service may have few
calls under way, and a namespace few in total, so receivers that hang delay only the calls of their own
namespace; nothing else in the operator waits for a call.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import structlog
from prometheus_client import Counter

from lgs_operator.alerting.notification import BadSecret, Notification, headers, signing_key
from lgs_operator.backoff import Backoff
from lgs_operator.turns import FairSlots
from lgs_operator.webhook_calls import MOST_CALLS, Forbidden, NotTaken, WebhookCaller

log = structlog.get_logger(__name__)
OF_A_SERVICE: Final = 2
OF_A_NAMESPACE: Final = 8
MOST_ATTEMPTS: Final = 12
"""Attempts before a call is given up, over about an hour."""
BACKOFF: Final = Backoff(first_seconds=5.0, longest_seconds=600.0)
WORDS: Final = 2
WORDS_SECONDS: Final = 60.0
"""At most `WORDS` notifications about one alert in this many seconds, so a flapping alert is not sent each
time. An alert that fires after a while, and its end, are sent at once."""
Secret = Callable[[Notification], Awaitable[str]]
"""Reads the text of the Secret that signs a call. Raises `NotTaken`."""
Alert = tuple[str, str, str]
"""Namespace, service and name of an alert."""


@dataclass(frozen=True)
class Result:
    """The result of a call. `final`: no attempt follows."""

    told: Notification
    error: str | None
    final: bool


@dataclass
class _Line:
    """The latest notification of one alert, and the task that sends it."""

    told: Notification
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    is_over: bool = False
    """The service or the receiver is gone, or the alert is dropped: nothing more is sent."""


class AlertWebhooks:
    """Sends notifications. `counter` counts calls by `result`; `pauses` lie between two attempts; in
    `words_seconds` at most `WORDS` notifications are sent about one alert."""

    def __init__(
        self,
        caller: WebhookCaller,
        secret: Secret,
        counter: Counter | None = None,
        pauses: Backoff = BACKOFF,
        *,
        words_seconds: float = WORDS_SECONDS,
    ) -> None:
        self._caller = caller
        self._secret = secret
        self._counter = counter
        self._pauses = pauses
        self._of_service = FairSlots(1_000_000, OF_A_SERVICE)
        self._of_namespace = FairSlots(MOST_CALLS, OF_A_NAMESPACE)
        self._words_seconds = words_seconds
        self._begun: dict[Alert, deque[float]] = {}
        """When the latest notifications about each alert were first sent, on the monotonic clock."""
        self._lines: dict[Alert, _Line] = {}
        self._results: dict[Alert, Result] = {}

    def tell(self, told: Notification) -> None:
        """Sends the notification, in place of an earlier one about the same alert."""
        alert = (told.namespace, told.service, told.alert)
        line = self._lines.get(alert)
        if line is None:
            line = self._lines[alert] = _Line(told)
            line.task = asyncio.create_task(self._run(alert, line), name="alert webhook")
        elif line.is_over or line.told != told:
            # the same notification for another receiver, or signed by another Secret, is another call
            line.told, line.is_over = told, False
            line.changed.set()

    def drop(self, alert: Alert) -> None:
        """Sends nothing more about this alert."""
        if line := self._lines.get(alert):
            line.is_over = True
            line.changed.set()

    def forget(self, namespace: str, service: str) -> None:
        """Sends nothing more about the service."""
        for alert in self._lines:
            if alert[:2] == (namespace, service):
                self.drop(alert)
        self.results(namespace, service)

    def results(self, namespace: str, service: str) -> dict[str, Result]:
        """The results of the service's calls since the last time this was asked, by alert."""
        of_it = [each for each in self._results if each[:2] == (namespace, service)]
        return {alert[2]: self._results.pop(alert) for alert in of_it}

    async def close(self) -> None:
        """Cancels the calls under way; the next operator sends what was not taken."""
        tasks = [line.task for line in self._lines.values() if line.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, alert: Alert, line: _Line) -> None:
        failures = 0
        while True:
            if not failures:
                await self._turn(alert, line)
            line.changed.clear()
            if line.is_over:
                del self._lines[alert]
                return
            told = line.told
            if not failures:
                self._note(alert)
            error, final = await self._attempt(told)
            failures += 1
            if line.told is not told or line.is_over:
                failures = 0
                continue
            final = final or error is None or failures >= MOST_ATTEMPTS
            self._results[alert] = Result(told, error, final)
            if final:
                del self._lines[alert]
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pauses.pause(failures)):
                    await line.changed.wait()
                    failures = 0

    async def _turn(self, alert: Alert, line: _Line) -> None:
        """Waits until another notification about the alert is allowed, or the alert is dropped."""
        while not line.is_over and (wait := self._wait(alert)) > 0:
            line.changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await line.changed.wait()

    def _wait(self, alert: Alert) -> float:
        begun = self._begun.get(alert)
        if begun is None or len(begun) < WORDS:
            return 0.0
        return begun[0] + self._words_seconds - time.monotonic()

    def _note(self, alert: Alert) -> None:
        now = time.monotonic()
        for old in [each for each, begun in self._begun.items() if begun[-1] < now - self._words_seconds]:
            del self._begun[old]
        self._begun.setdefault(alert, deque(maxlen=WORDS)).append(now)

    async def _attempt(self, told: Notification) -> tuple[str | None, bool]:
        """The reason why the call was not taken, or None; and whether that is final."""
        where = f"{told.namespace}/{told.service}"
        try:
            async with self._of_service.slot(where), self._of_namespace.slot(told.namespace):
                key = signing_key(await self._secret(told))
                await self._caller.call(told.url, headers(told, key, time.time()), told.body)
        except Forbidden as rule:
            return self._failed(told, "forbidden", str(rule)), rule.final
        except NotTaken as why:
            return self._failed(told, "failed", str(why)), False
        except BadSecret as wrong:
            return self._failed(
                told, "failed", f"Secret {told.secret.name}: {told.secret.key}: {wrong}"
            ), False
        except Exception as error:
            log.exception("alert_webhook.crashed", service=where, alert=told.alert)
            return self._failed(told, "failed", type(error).__name__), False
        self._count("taken")
        log.info("alert_webhook.taken", service=where, alert=told.alert, told=told.told)
        return None, True

    def _failed(self, told: Notification, result: str, why: str) -> str:
        self._count(result)
        log.warning(
            "alert_webhook.not_taken",
            service=f"{told.namespace}/{told.service}",
            alert=told.alert,
            reason=why,
        )
        return why

    def _count(self, result: str) -> None:
        if self._counter is not None:
            self._counter.labels(result).inc()
