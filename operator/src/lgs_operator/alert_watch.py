"""Evaluates the alerts of each service on the answers of its replicas. Reports each alert that changes by an
Event and to the alert's receiver. The decisions are made in `alerting/`."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lgs_crds import LangGraphService
from lgs_operator.alert_webhooks import AlertWebhooks, Result
from lgs_operator.alerting.definitions import definitions
from lgs_operator.alerting.evaluation import Change, Evaluation, changes, evaluate
from lgs_operator.alerting.notification import Notification, notification
from lgs_operator.alerting.states import taken
from lgs_operator.context import Context
from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import SECRET, ServiceKey
from lgs_operator.monitoring.objectives import objectives
from lgs_operator.scaling import Observation
from lgs_operator.status.alerts import AlertsView, alert_event, alerts_view, history_before, states_before
from lgs_operator.webhook_calls import NotTaken


@dataclass
class _Watched:
    """One service. `view` is what its status says about its alerts."""

    uid: str
    evaluation: Evaluation
    view: AlertsView


class AlertWatch:
    """Watches the alerts of all services; there is one instance."""

    def __init__(self, context: Context, webhooks: AlertWebhooks) -> None:
        self._recorder = context.recorder
        self._webhooks = webhooks
        self._watched: dict[ServiceKey, _Watched] = {}

    def keep(self, services: Iterable[ServiceKey]) -> None:
        """Forgets all other services; their receivers are told nothing more."""
        for gone in self._watched.keys() - set(services):
            del self._watched[gone]
            self._webhooks.forget(*gone)

    async def observe(
        self,
        key: ServiceKey,
        service: LangGraphService,
        observation: Observation | None,
        before: Mapping[str, Any],
        now: float,
    ) -> AlertsView:
        """The view of the service's alerts after this observation; `observation` is None where no replica
        could be asked. `before` is the status of the service: the first call takes the states of its alerts
        from it."""
        uid = service.metadata.uid or ""
        watched = self._watched.get(key)
        if watched is not None and watched.uid != uid:
            # another service of the same name: drop the pending notifications of the old one, and what the
            # status still says about it
            self._webhooks.forget(*key)
            watched = self._watched[key] = _Watched(uid, Evaluation(), AlertsView())
        if watched is None:
            kept = Evaluation(states=states_before(before, now), history=history_before(before))
            watched = self._watched[key] = _Watched(uid, kept, AlertsView())
        # evaluate a changed manifest at once
        wanted = definitions(service.spec)
        is_as_before = _names(wanted) == _names(watched.evaluation.definitions)
        if is_as_before and not watched.evaluation.is_due(now):
            return watched.view
        last = watched.evaluation
        after = evaluate(last, wanted, observation, now, objectives(service.spec))
        after, failed = _noted(after, self._webhooks.results(*key))
        watched.evaluation, watched.view = after, alerts_view(after)
        for change in changes(last, after):
            await self._recorder.emit(key, uid, *alert_event(change))
            if change.gone:
                self._tell(key, change)
        for each in after.definitions:
            state = after.states[each.name]
            if state.unsent is not None:
                self._tell(key, Change(each, state, state.unsent))
            if each.webhook is None:
                self._webhooks.drop((*key, each.name))
        for name, why in failed.items():
            await self._recorder.emit(key, uid, "Warning", "WebhookFailed", f"{name}: not told: {why}")
        return watched.view

    def _tell(self, key: ServiceKey, change: Change) -> None:
        told = notification(key.namespace, key.name, change.definition, change.state, change.told)
        if told is not None:
            self._webhooks.tell(told)


def _names(wanted: Iterable[Any]) -> list[tuple[str, str]]:
    return [(each.name, each.rule) for each in wanted]


def _noted(evaluation: Evaluation, results: Mapping[str, Result]) -> tuple[Evaluation, dict[str, str]]:
    """The evaluation with the results of the webhook calls; and, by alert, the reason of each call that
    failed for the first time or for good."""
    states, failed = dict(evaluation.states), {}
    for name, result in results.items():
        if name not in states or states[name].unsent != result.told.told:
            continue
        if result.error is not None and (states[name].error is None or result.final):
            failed[name] = result.error
        states[name] = taken(states[name], result.told.told, result.error, final=result.final)
    return replace(evaluation, states=states), failed


def secret_of(cluster: KubeClient) -> Any:
    """Returns a function that reads the Secret that signs a call, from the namespace of the service."""

    async def read(told: Notification) -> str:
        name, key = told.secret.name, told.secret.key
        try:
            found = await cluster.get(SECRET, told.namespace, name)
        except KubeError as error:
            raise NotTaken(f"Secret {name} can't be read: {error}") from error
        if found is None:
            raise NotTaken(f"there is no Secret {name} in namespace {told.namespace}; create it")
        encoded = (found.get("data") or {}).get(key)
        if encoded is None:
            raise NotTaken(f"Secret {name} has no key {key}; add it")
        try:
            return b64decode(encoded).decode()
        except ValueError:
            raise NotTaken(f"Secret {name}: {key}: bytes that are no text") from None

    return read
