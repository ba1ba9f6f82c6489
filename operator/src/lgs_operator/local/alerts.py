"""The alerts of the manifest under `lgs up`: evaluated as in a cluster, printed, and sent to receivers.

The machine is the user's own, so any address may be called. Calls are signed with the secret in the
environment variable `SECRET`; in a cluster it is in a Secret.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lgs_operator.alert_webhooks import AlertWebhooks
from lgs_operator.alerting.definitions import Definition
from lgs_operator.alerting.evaluation import Change, Evaluation, changes, evaluate
from lgs_operator.alerting.notification import Notification, described, notification
from lgs_operator.alerting.states import AlertState
from lgs_operator.history.decisions import Firing
from lgs_operator.monitoring.objectives import Objective
from lgs_operator.scaling import Observation
from lgs_operator.webhook_calls import NotTaken, WebhookCaller

SECRET: Final = "LGS_WEBHOOK_SECRET"
NAMESPACE: Final = "local"


class LocalAlerts:
    """The alerts of one `lgs up`."""

    def __init__(self, caller: WebhookCaller, secret: str | None) -> None:
        self._secret = secret
        self.webhooks = AlertWebhooks(caller, self._read)
        self._evaluation = Evaluation()

    @property
    def budget(self) -> str | None:
        """How much is left of the most used-up error budget, in words; None without objectives."""
        kept = self._evaluation.kept
        return f"error budget left {min(each.left for each in kept) * 100:.1f} %" if kept else None

    def observe(
        self,
        service: str,
        definitions: tuple[Definition, ...],
        observation: Observation,
        now: float,
        objectives: tuple[Objective, ...] = (),
    ) -> Iterator[str]:
        """The lines to print for what has changed with this observation."""
        before = self._evaluation
        if before.definitions == definitions and not before.is_due(now):
            return
        self._evaluation = evaluate(before, definitions, observation, now, objectives)
        for change in changes(before, self._evaluation):
            yield _said(change)
            told = notification(NAMESPACE, service, change.definition, change.state, change.told)
            if told is not None:
                self.webhooks.tell(told)
        for name, result in self.webhooks.results(NAMESPACE, service).items():
            if result.error is not None:
                more = "" if result.final else "; it is tried again"
                yield f"alert {name}: {result.told.url} was not told: {result.error}{more}"

    @property
    def firing(self) -> dict[str, Firing] | None:
        """The firing alerts by name; None if the manifest has no alerts."""
        found = self._evaluation
        if not found.definitions:
            return None
        return {
            each.name: _firing(each, found.states[each.name])
            for each in found.definitions
            if found.states[each.name].phase == "Firing"
        }

    async def _read(self, told: Notification) -> str:
        if self._secret is None:
            raise NotTaken(f"{SECRET} is not set: it signs the calls here, as whsec_ and a key in base64")
        return self._secret


def _firing(definition: Definition, state: AlertState) -> Firing:
    return Firing(definition.severity, described(state), state.fired_at)


def _said(change: Change) -> str:
    each, state = change.definition, change.state
    if change.told == "firing":
        return f"alert {each.name} ({each.severity}) fires: {each.rule}: {described(state)}"
    return f"alert {each.name} is over: {'the manifest has it no more' if change.gone else described(state)}"
