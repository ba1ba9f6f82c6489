"""Reports what a round of the autoscaler found into the status of its service, with Events of what has
changed: the decision, what replicas refuse, and how the revision that is measured does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog

from lgs_crds import LangGraphService
from lgs_crds.status import Condition, ConditionType
from lgs_operator.context import Context
from lgs_operator.desired.revision import revision_of
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import ServiceKey
from lgs_operator.scaling import Decision, Memory, Observation, ReplicaSample
from lgs_operator.scaling.release import Measured, measured
from lgs_operator.status.alerts import AlertsView
from lgs_operator.status.health import any_failed
from lgs_operator.status.refusals import Names, Refusals
from lgs_operator.status.reporter import StatusReporter
from lgs_operator.status.scaling import (
    ScalingView,
    crashed_view,
    downstream_events,
    reported_of,
    scaling_before,
    scaling_view,
    urgent_of,
)
from lgs_operator.status.states import ServiceStates

log = structlog.get_logger(__name__)
_WRITE_SECONDS = 10.0
_WRITE_MEMORY_SECONDS = 60.0


@dataclass
class Track:
    """What the autoscaler remembers about a service between two rounds."""

    uid: str
    memory: Memory
    written_at: float = 0.0
    written: tuple[object, ...] = ()
    mode: str = ""
    measured: Measured | None = None
    """What is known about the revision under measurement."""
    refused: str | None = None
    """Why the API server refused the last decision."""
    refusals: dict[ConditionType, Names] = field(default_factory=dict)
    """By condition type, the names (of circuits or budgets) whose new runs were refused when a replica last
    said so."""


class ScaleReporter:
    """Reports the rounds of all services. `now` is the clock, in seconds since the epoch."""

    def __init__(
        self, context: Context, states: ServiceStates, reporter: StatusReporter, now: Callable[[], float]
    ) -> None:
        self._state = context.state
        self._recorder = context.recorder
        self._states = states
        self._reporter = reporter
        self._now = now

    async def crashed(self, key: ServiceKey, error: Exception) -> None:
        """Reports that a round of the service crashed."""
        try:
            await self._reporter.report_scaling(key, crashed_view(error, self.before(key)))
        except KubeError as refused:
            log.warning("report.failed", service=f"{key.namespace}/{key.name}", error=str(refused))
        except Exception:
            log.exception("report.failed", service=f"{key.namespace}/{key.name}")

    def before(self, key: ServiceKey) -> ScalingView:
        """What was last reported about the service, by this operator or the one before it."""
        written = self._state.services.get(key, {}).get("status") or {}
        return self._states.seen(key).scaling or scaling_before(written)

    async def inspect(
        self,
        key: ServiceKey,
        service: LangGraphService,
        track: Track,
        refusals: Refusals,
        observation: Observation,
    ) -> Condition | None:
        """The condition about what is refused, after an Event for each change since it was last known."""
        stated = next((each for each in self.before(key).conditions if each.type == refusals.type), None)
        seen = refusals.seen(service, observation, track.refusals.get(refusals.type), stated)
        if seen.names is not None:
            track.refusals[refusals.type] = seen.names
        for kind, reason, words in seen.events:
            await self._recorder.emit(key, service.metadata.uid or "", kind, reason, words)
        return seen.condition

    def measure(
        self, key: ServiceKey, track: Track, current: int | None, samples: Sequence[ReplicaSample]
    ) -> None:
        """Measures how runs of the canary, or else of the current revision, end and how long they take, as
        long as the verdict on that revision is open. For a canary it stays open: one that worked before may
        fail later."""
        before = self._reporter.before(key)
        canary, known = before.get("canary") or {}, before.get("revisions", ())
        current = canary.get("revision", current)
        told = next((each for each in known if each["revision"] == current), None)
        is_known = told is None or (told.get("verified") and not canary) or told["state"] == "Failed"
        if current is None or is_known:
            track.measured = None
            return
        revisions = {pod["metadata"]["name"]: revision_of(pod) for pod in self._state.pods(key)}
        track.measured = measured(track.measured, current, samples, revisions, canary.get("step"))

    async def report(
        self,
        key: ServiceKey,
        service: LangGraphService,
        track: Track,
        decision: Decision | None,
        *,
        beside: tuple[Condition | None, ...],
        alerts: AlertsView,
        pinned: Mapping[int, tuple[int, int]] | None = None,
    ) -> None:
        """Reports into the status, with the conditions of circuits and budgets in `beside`: at once when the
        number of replicas changed or a release fails, else every ten seconds or less often."""
        now, known = self._now(), self.before(key)
        if not track.written_at and known.status is not None:
            # The previous operator's report is already written, and need not be read again.
            self._states.of(key).scaling, track.written = known, reported_of(known)
        view = scaling_view(
            service,
            decision,
            known,
            now,
            beside=beside,
            alerts=alerts,
            refused=track.refused,
        )
        view = replace(view, pinned=pinned)
        is_failing = False
        if decision is not None and track.measured is not None:
            view = replace(
                view,
                runs=track.measured.runs,
                canary_step=track.measured.step,
                durations=track.measured.durations,
            )
            is_failing = any_failed(view.runs, view.durations, service.spec.rollout)
        for kind, reason, words in downstream_events(known, view):
            await self._recorder.emit(key, service.metadata.uid or "", kind, reason, words)
        reported = reported_of(view)
        urgent = (
            is_failing
            or known.status is None
            or known.desired != view.desired
            or urgent_of(known) != urgent_of(view)
        )
        due = now - track.written_at >= (
            _WRITE_SECONDS if reported != track.written else _WRITE_MEMORY_SECONDS
        )
        is_idle = decision is not None and not decision.queue and decision.p95 is None
        if not urgent and (not due or (is_idle and reported == track.written)):
            return
        await self._reporter.report_scaling(key, view)
        track.written, track.written_at = reported, now
        rollout = service.spec.rollout
        if is_failing and (rollout.auto_rollback or rollout.strategy == "Canary"):
            self._state.mark_due(key)
