"""Reports what is known of a service: its status, and an Event for each condition that says something new.
Both the reconciler and the autoscaler report through this, so that the status has one writer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from lgs_crds.reasons import Reason
from lgs_crds.status import ConditionType
from lgs_operator.context import Context
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import EventType, ServiceKey
from lgs_operator.naming import REPLICAS
from lgs_operator.status.diagnosis import Diagnosis
from lgs_operator.status.halted import crashed_status, halted_status
from lgs_operator.status.publisher import Publisher
from lgs_operator.status.scaling import ScalingView, scaling_before
from lgs_operator.status.service import status_of
from lgs_operator.status.states import ServiceStates

log = structlog.get_logger(__name__)
LONGEST_ERROR: Final = 500
WITHOUT_EVENTS: Final[frozenset[ConditionType]] = frozenset(
    {"Progressing", "ScalingActive", "ScalingLimited", "CircuitsClosed", "WithinBudget", "Alerting"}
)
"""The conditions whose changes are no Events: what is behind them has Events of its own, and `Progressing`
changes with each pod."""
_SAME_EVENT: Final[Mapping[str, str]] = {"ImagePullBackOff": "ErrImagePull"}
"""Reasons that count as another one in Events: a node reports these two in turns while it
can't pull an image."""
EXPECTED: Final = frozenset({"Starting", "Restoring", "ScaledToZero", "Paused", "Deleting", "Complete"})
"""Reasons with which a condition is False although nothing is wrong."""


class StatusReporter:
    """Reports the services in `states`."""

    def __init__(self, context: Context, states: ServiceStates) -> None:
        self._state = context.state
        self._recorder = context.recorder
        self._metrics = context.metrics
        self._publisher = Publisher(context.cluster)
        self._states = states

    async def settled(self, key: ServiceKey) -> None:
        """Returns once `before` has all that anybody can have read in the status."""
        await self._publisher.settled(key)

    def before(self, key: ServiceKey) -> Mapping[str, Any]:
        """The status as it was last reported."""
        body = self._state.services.get(key)
        return {} if body is None else self._publisher.current(key, body)

    async def report(self, key: ServiceKey) -> None:
        """Writes the status from what was last observed and what the autoscaler last said."""
        body, known = self._state.services.get(key), self._states.seen(key)
        observed = known.observed
        if body is None or observed is None or observed.service.metadata.uid != body["metadata"]["uid"]:
            return
        before = self._publisher.current(key, body)
        scaling = known.scaling or scaling_before(before)
        status = status_of(observed, scaling, before, datetime.now(UTC))
        if (status.get("canary") or {}).get("step") != (before.get("canary") or {}).get("step"):
            self._state.mark_due(key)
        if _pins_of(status) != _pins_of(before):
            self._state.mark_due(key)
        self._measure_backup(key, status)
        spec = observed.service.spec
        most = spec.max_replicas if spec.scaling.mode == "Auto" else None
        self._metrics.by_service.bounded(key, most)
        await self._write(key, body, before, status)

    async def report_scaling(self, key: ServiceKey, scaling: ScalingView) -> None:
        """Writes the status with what the autoscaler says now."""
        if key in self._state.services:
            self._states.of(key).scaling = scaling
            await self.report(key)

    async def report_halted(self, key: ServiceKey, body: Mapping[str, Any], halt: Diagnosis) -> None:
        """Reports why the service is not worked on and how many replicas it has; all else stays as it
        was last reported."""
        before = self._publisher.current(key, body)
        generation = body["metadata"].get("generation", 0)
        pods, api_pods = (self._state.pods(key, each) for each in REPLICAS)
        status = halted_status(before, generation, halt, pods, datetime.now(UTC), api_pods=api_pods)
        await self._write(key, body, before, status)

    async def report_crash(self, key: ServiceKey, error: Exception) -> None:
        """Reports that the operator itself failed at the service, or that the API server refused a request.
        Never raises, since no caller handles that."""
        body = self._state.services.get(key)
        if body is None:
            return
        try:
            before = self._publisher.current(key, body)
            generation = body["metadata"].get("generation", 0)
            status = crashed_status(before, generation, crash_of(error), datetime.now(UTC))
            await self._write(key, body, before, status)
        except KubeError as refused:
            # No traceback: this happens when a namespace is deleted, and our rights in it with it.
            log.warning("report.failed", service=f"{key.namespace}/{key.name}", error=str(refused))
        except Exception:
            log.exception("report.failed", service=f"{key.namespace}/{key.name}")

    def forget(self, key: ServiceKey) -> None:
        """Forgets a service that is gone."""
        self._publisher.forget(key)
        self._measure_backup(key, {})
        self._metrics.by_service.forget(key)

    def _measure_backup(self, key: ServiceKey, status: Mapping[str, Any]) -> None:
        """Sets the backup gauges of a service with backups, and removes those of one without."""
        ready = next((each for each in status.get("conditions", ()) if each["type"] == "BackupReady"), None)
        for gauge in (self._metrics.backup_ready, self._metrics.backup_last_success):
            if ready is None:
                with suppress(KeyError):
                    gauge.remove(*key)
        if ready is not None:
            self._metrics.backup_ready.labels(*key).set(ready["status"] != "False")
        if ready is not None and (kept := (status.get("backup") or {}).get("time")):
            self._metrics.backup_last_success.labels(*key).set(datetime.fromisoformat(kept).timestamp())

    async def _write(
        self, key: ServiceKey, body: Mapping[str, Any], before: Mapping[str, Any], status: dict[str, Any]
    ) -> None:
        self._metrics.by_service.reported(key, status)
        if not await self._publisher.publish(key, body, status):
            return
        after = self._publisher.current(key, body).get("conditions", [])
        uid = body["metadata"]["uid"]
        for each in condition_events(before.get("conditions", []), after):
            kind: EventType = "Warning" if _is_bad(each) else "Normal"
            words = f"{each['type']} is {each['status']}: {each['message']}"
            await self._recorder.emit(key, uid, kind, each["reason"], words)
        event = restore_event(before.get("restore"), self._publisher.current(key, body).get("restore"))
        if event is not None:
            await self._recorder.emit(key, uid, *event)


def _pins_of(status: Mapping[str, Any]) -> list[tuple[Any, Any, bool]]:
    """What of the kept revisions decides how many replicas they have, and whether they end."""
    kept = status.get("pinned") or ()
    return [(each["revision"], each.get("runs"), "idleSince" in each) for each in kept]


def crash_of(error: Exception) -> Diagnosis:
    """What stopped a reconciliation, in words for the condition."""
    if isinstance(error, KubeError):
        return Diagnosis(
            "Refused", f"the API server refuses: {str(error)[:LONGEST_ERROR]}; it is tried again"
        )
    words = f"the operator failed at this service: {type(error).__name__}: {error}"
    return Diagnosis(
        "InternalError", f"{words[:LONGEST_ERROR]}; it tries again, and its log has the traceback"
    )


def restore_event(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> tuple[EventType, Reason, str] | None:
    """The Event of a restore that has just ended; None otherwise."""
    if before or not after:
        return None
    if after["result"] == "Skipped":
        return (
            "Normal",
            "RestoreSkipped",
            "nothing was restored: the service has sessions or replicas already",
        )
    return "Normal", "Restored", f"backup {after.get('name', '')} is restored: {after.get('threads')} threads"


def condition_events(
    before: Iterable[Mapping[str, Any]], after: Iterable[Mapping[str, Any]]
) -> Iterator[Mapping[str, Any]]:
    """The conditions that say something new and become Events. `Progressing` becomes one only if it is bad
    and `Ready` does not say the same: while all is well it changes with each pod."""
    old = {each["type"]: each for each in before}
    now = {each["type"]: each for each in after}
    for name, each in now.items():
        has_event = name not in WITHOUT_EVENTS
        if name == "Progressing":
            has_event = _is_bad(each) and each["reason"] != now.get("Ready", {}).get("reason")
        if has_event and _has_changed(old.get(name, {}), each):
            yield each


def _is_bad(each: Mapping[str, Any]) -> bool:
    return each["status"] == "False" and each["reason"] not in EXPECTED


def _has_changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    return _said(before) != _said(after)


def _said(each: Mapping[str, Any]) -> tuple[str | None, str | None]:
    reason = each.get("reason")
    return each.get("status"), _SAME_EVENT.get(reason or "", reason)
