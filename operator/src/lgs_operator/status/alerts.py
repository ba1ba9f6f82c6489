"""The alerts of a manifest in the status: the condition, a line for each alert, and the Events
of changes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from lgs_crds.reasons import Reason
from lgs_crds.status import (
    AlertStatus,
    Condition,
    ObjectiveStatus,
    SloStatus,
    condition,
    status_before,
    timestamp,
)
from lgs_operator.alerting.definitions import Definition
from lgs_operator.alerting.evaluation import Change, Evaluation
from lgs_operator.alerting.history import History
from lgs_operator.alerting.notification import described
from lgs_operator.alerting.states import AlertState
from lgs_operator.history.decisions import Firing
from lgs_operator.kube.kinds import EventType
from lgs_operator.scaling import Memory


@dataclass(frozen=True)
class AlertsView:
    """What the status says of a service's alerts and objectives. Without a condition, the
    service has none."""

    condition: Condition | None = None
    alerts: tuple[AlertStatus, ...] = ()
    slo: SloStatus | None = None


def alerts_view(evaluation: Evaluation) -> AlertsView:
    """What the status says of these alerts and objectives."""
    if not evaluation.definitions:
        return AlertsView()
    lines = tuple(
        line
        for each in evaluation.definitions
        if (line := _line(each, evaluation.states[each.name])) is not None
    )
    return AlertsView(_alerting(evaluation), lines, _slo(evaluation))


def _slo(evaluation: Evaluation) -> SloStatus | None:
    kept = evaluation.kept
    if not kept:
        return None
    lines = [
        ObjectiveStatus(
            name=each.objective.name,
            objective=each.objective.share,
            measured=None if each.measured is None else round(each.measured, 6),
            runs=round(each.runs),
            budget_left=round(each.left, 4),
        )
        for each in kept
    ]
    return SloStatus(
        budget_left=f"{min(each.left for each in kept) * 100:.1f}%",
        since=_time(evaluation.history.since),
        objectives=lines,
        memory=evaluation.history.to_json(),
    )


def history_before(status: Mapping[str, object]) -> History:
    """What an earlier operator counted for the objectives, from the status."""
    before = status_before(status).slo
    return History() if before is None else History.from_json(before.memory)


def firing_of(view: AlertsView) -> dict[str, Firing] | None:
    """The firing alerts by name, for the history; None if the service has no alerts."""
    if view.condition is None:
        return None
    return {
        each.name: Firing(
            each.severity or "", "" if each.value is None else f"it is {each.value:g}", _moment(each.fired_at)
        )
        for each in view.alerts
        if each.state == "Firing"
    }


def _alerting(evaluation: Evaluation) -> Condition:
    firing = [each for each in evaluation.definitions if evaluation.states[each.name].phase == "Firing"]
    if firing:
        words = "; ".join(fired(each, evaluation.states[each.name]) for each in firing)
        return condition("Alerting", "True", "AlertsFiring", f"{len(firing)} fire: {words}")
    if not evaluation.known:
        return condition("Alerting", "Unknown", "NoReplica", "no replica answers: nobody can tell")
    return condition("Alerting", "False", "NoneFiring", f"none of {len(evaluation.definitions)} alerts fires")


def fired(definition: Definition, state: AlertState) -> str:
    """Which alert fires and why, in words."""
    return f"{definition.name} ({definition.severity}): {definition.rule}: {described(state)}"


def _line(definition: Definition, state: AlertState) -> AlertStatus | None:
    if state.phase == "Inactive":
        return None
    return AlertStatus(
        name=definition.name,
        state=state.phase,
        severity=definition.severity,
        since=_time(state.since),
        value=None if state.value is None else round(state.value, 6),
        fired_at=_time(state.fired_at),
        unsent=state.unsent,
        webhook_error=state.error,
    )


def states_before(status: Mapping[str, object], now: float) -> dict[str, AlertState]:
    """The states written before this operator started, or before the service was paused. A firing
    alert goes on firing and is not notified again; for a pending one the time since the last
    measurement does not count."""
    before = status_before(status)
    measured = Memory.from_json(before.scaling.memory if before.scaling else None).at
    found: Iterable[AlertStatus] = before.alerts or ()
    return {each.name: _without(_state(each), measured, now) for each in found}


def _without(state: AlertState, measured: float | None, now: float) -> AlertState:
    if state.phase != "Pending":
        return state
    unknown = now - max(measured or 0.0, state.since)
    return replace(state, at=now, since=min(now, state.since + max(0.0, unknown)))


def _state(line: AlertStatus) -> AlertState:
    since, fired = _moment(line.since) or 0.0, _moment(line.fired_at)
    # an alert that is pending again was resolved before that; the time of it is not kept
    resolved = since if line.state != "Firing" and fired is not None else None
    return AlertState(
        phase=line.state,
        since=since,
        at=since,
        value=line.value,
        fired_at=fired,
        resolved_at=resolved,
        unsent=line.unsent,
        error=line.webhook_error,
    )


def alert_event(change: Change) -> tuple[EventType, Reason, str]:
    """The Event for this change."""
    if change.told == "firing":
        return "Warning", "AlertFiring", fired(change.definition, change.state)
    words = "the manifest has it no more" if change.gone else described(change.state)
    return "Normal", "AlertResolved", f"{change.definition.name}: {change.definition.rule}: over: {words}"


def _time(moment: float | None) -> str | None:
    return None if moment is None else timestamp(datetime.fromtimestamp(moment, UTC))


def _moment(text: str | None) -> float | None:
    try:
        moment = None if text is None else datetime.fromisoformat(text).timestamp()
        # a time in the year 1 or 9999 does not exist in every time zone
        return None if _time(moment) is None else moment
    except (ValueError, OverflowError, OSError):
        return None
