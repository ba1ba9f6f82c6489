"""The autoscaler's part of a service's status: its conditions, its last decision and what the scaling
law remembers. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from lgs_crds import LangGraphService
from lgs_crds.reasons import Reason
from lgs_crds.status import (
    AlertStatus,
    Condition,
    ScalingStatus,
    SloStatus,
    condition,
    status_before,
    timestamp,
)
from lgs_operator.kube.kinds import EventType
from lgs_operator.scaling import Decision
from lgs_operator.scaling.durations import Durations
from lgs_operator.scaling.outcomes import RunCounts
from lgs_operator.status.alerts import AlertsView

NOT_LIMITED = "no bound keeps the replicas from what the load asks for"
SCALING_CONDITIONS = frozenset(
    {"ScalingActive", "ScalingLimited", "CircuitsClosed", "WithinBudget", "Alerting"}
)
NAMING = frozenset({"CircuitsClosed", "WithinBudget", "Alerting"})
"""Conditions whose messages name what they are about, so that a change of the message is news."""

BRIEF_SECONDS = 30.0
"""For how long the last answer stands, twenty rounds: one that is lost is no news."""


@dataclass(frozen=True)
class ScalingView:
    """What the autoscaler says of a service, in the terms of the status."""

    conditions: tuple[Condition, ...] = ()
    status: ScalingStatus | None = None
    queue: int | None = None
    p95: str | None = None
    desired: int | None = None
    runs: Mapping[int, RunCounts] = field(default_factory=dict)
    """How the runs of the measured revision ended, by its number."""
    canary_step: int | None = None
    """The step of its canary since which they are counted."""
    durations: Mapping[int, Durations] = field(default_factory=dict)
    """How long they took, compared with those of other revisions."""
    pinned: Mapping[int, tuple[int, int]] | None = None
    """Threads and runs that are pinned to each revision; None: no replica tells."""
    alerts: tuple[AlertStatus, ...] = ()
    slo: SloStatus | None = None


def scaling_before(status: Mapping[str, Any]) -> ScalingView:
    """The autoscaler's part of a status that an earlier operator wrote. It stands until there is a new
    one, so that what the scaling law remembers outlives the operator. After another version's memory the
    law measures afresh.
    """
    before = status_before(status)
    if before.scaling is None:
        return ScalingView()
    conditions = tuple(each for each in before.conditions if each.type in SCALING_CONDITIONS)
    return ScalingView(
        conditions,
        before.scaling,
        before.queue,
        before.p95,
        before.desired_replicas,
        alerts=tuple(before.alerts or ()),
        slo=before.slo,
    )


def scaling_view(
    service: LangGraphService,
    decision: Decision | None,
    before: ScalingView,
    now: float,
    *,
    beside: tuple[Condition | None, ...] = (),
    alerts: AlertsView | None = None,
    refused: str | None = None,
) -> ScalingView:
    """The decision in the terms of the status. `beside` are the conditions of circuits and budgets from the
    same round. Without a decision (no replica to ask) the last one stands. `refused` is why the API server
    did not accept its number of replicas. Pure."""
    mode = service.spec.scaling.mode
    alerts = alerts or AlertsView()
    more = tuple(each for each in (*beside, alerts.condition) if each is not None)
    if decision is None:
        inactive = condition("ScalingActive", "False", "NoReplica", "no replica is ready: nothing to go by")
        if mode != "Auto":
            inactive = _not_ours(mode)
        limited = next(
            (each for each in before.conditions if each.type == "ScalingLimited" and mode == "Auto"),
            condition("ScalingLimited", "False", "NotLimited", NOT_LIMITED),
        )
        return ScalingView(
            (inactive, limited, *more),
            before.status,
            None,
            None,
            before.desired,
            alerts=alerts.alerts,
            slo=alerts.slo,
        )
    return ScalingView(
        conditions=(_active(mode, decision, refused), _limited(service, decision), *more),
        status=ScalingStatus(
            desired_replicas=decision.replicas if mode == "Auto" else service.spec.replicas,
            reason=decision.reason,
            decided_at=timestamp(datetime.fromtimestamp(now, UTC)),
            inputs=_rounded(decision.inputs),
            memory=decision.memory.to_json(),
        ),
        queue=decision.queue,
        p95=None if decision.p95 is None else f"{decision.p95:.2f}s",
        desired=decision.replicas if mode == "Auto" else service.spec.replicas,
        alerts=alerts.alerts,
        slo=alerts.slo,
    )


def downstream_events(before: ScalingView, view: ScalingView) -> list[tuple[EventType, Reason, str]]:
    """The Event for what all replicas share becoming saturated, or no longer being so."""
    was, now = (
        next((each for each in one.conditions if each.type == "ScalingLimited"), None)
        for one in (before, view)
    )
    was_full = was is not None and was.reason == "DownstreamSaturated"
    is_full = now is not None and now.reason == "DownstreamSaturated"
    if now is None or was_full == is_full:
        return []
    if is_full:
        return [("Warning", "DownstreamSaturated", now.message or "")]
    return [("Normal", "DownstreamRecovered", "the replicas follow the load again")]


def urgent_of(view: ScalingView) -> tuple[tuple[str, ...], ...]:
    """What is published at once if it changes: reasons, open circuits, used-up budgets and firing alerts."""
    return tuple(
        (each.type, each.reason, each.message if each.type in NAMING else "") for each in view.conditions
    )


def reported_of(view: ScalingView) -> tuple[object, ...]:
    """What is published now and then while it changes. A revision with no ended run is no news."""
    runs = {number: each for number, each in view.runs.items() if each.ended}
    kept = None if view.slo is None else view.slo.objectives
    return view.desired, view.queue, view.p95, runs, view.pinned, view.alerts, kept, urgent_of(view)


def crashed_view(error: Exception, before: ScalingView) -> ScalingView:
    """The view after the operator itself failed at scaling the service; the last decision stands."""
    words = f"the operator failed at scaling: {type(error).__name__}: {str(error)[:500]}"
    inactive = condition("ScalingActive", "False", "InternalError", words)
    others = tuple(each for each in before.conditions if each.type != "ScalingActive")
    return ScalingView(
        (inactive, *others),
        before.status,
        before.queue,
        before.p95,
        before.desired,
        alerts=before.alerts,
        slo=before.slo,
    )


def _active(
    mode: Literal["Auto", "Manual", "External"], decision: Decision, refused: str | None
) -> Condition:
    if mode != "Auto":
        return _not_ours(mode)
    if refused is not None:
        return condition("ScalingActive", "False", "Refused", refused)
    if decision.code == "NoData" and not _is_brief(decision.blind_seconds):
        return condition("ScalingActive", "False", "NoData", decision.reason)
    return condition("ScalingActive", "True", "Measuring", "replicas follow the load")


def _is_brief(blind_seconds: float | None) -> bool:
    return blind_seconds is not None and blind_seconds < BRIEF_SECONDS


def _not_ours(mode: Literal["Manual", "External"]) -> Condition:
    words = "spec.replicas sets the number" if mode == "Manual" else "the scale subresource sets the number"
    return condition("ScalingActive", "False", mode, f"spec.scaling.mode is {mode}: {words}")


def _limited(service: LangGraphService, decision: Decision) -> Condition:
    mode = service.spec.scaling.mode
    if mode != "Auto":
        return condition(
            "ScalingLimited", "False", "NotLimited", f"spec.scaling.mode is {mode}: no bound counts"
        )
    if decision.saturated is not None:
        return condition("ScalingLimited", "True", "DownstreamSaturated", decision.saturated)
    if decision.limited is None or decision.limited == "downstream":
        return condition("ScalingLimited", "False", "NotLimited", NOT_LIMITED)
    if decision.limited == "max":
        words = f"the load asks for more than maxReplicas, which is {service.spec.max_replicas}"
        return condition("ScalingLimited", "True", "TooManyReplicas", words)
    if decision.limited == "schedule":
        words = f"the load asks for less than the schedule: {decision.scheduled}"
        return condition("ScalingLimited", "True", "Scheduled", words)
    words = f"the load asks for less than minReplicas, which is {service.spec.scaling.min_replicas}"
    return condition("ScalingLimited", "True", "TooFewReplicas", words)


def _rounded(inputs: dict[str, float]) -> dict[str, Any]:
    return {name: round(value, 3) for name, value in inputs.items()}
