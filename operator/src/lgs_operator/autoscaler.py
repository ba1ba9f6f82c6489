"""Asks the replicas of each service how they are every second or two, lets the scaling law decide, and sets
the number of replicas. With very many services, those without work are asked less often (`pace.py`).

Each service is asked separately: replicas that answer slowly delay only the next decision about their own
service. A replica that does not answer does not count as idle. The law's memory is kept in the status, so
that another operator continues where this one stopped. A service without a ready replica is left as it is,
unless its replicas are fewer than the manifest's minimum or more than its maximum, or the law itself scaled
it to zero.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import replace

import structlog

from lgs_crds import LangGraphService
from lgs_operator.alert_watch import AlertWatch
from lgs_operator.alert_webhooks import AlertWebhooks
from lgs_operator.alerting.definitions import needs_usage
from lgs_operator.cloud_native_pg import CloudNativePG
from lgs_operator.context import Context
from lgs_operator.desired.revision import is_canary, is_kept, is_own
from lgs_operator.handover import leads_to_api
from lgs_operator.history.service import Histories, ServiceHistory
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import DEPLOYMENT, Key, Manifest, ServiceKey
from lgs_operator.kube.pods import is_ended, is_ready
from lgs_operator.naming import REPLICAS
from lgs_operator.observer import Observer, may_work, with_those_beside
from lgs_operator.pace import Pace, has_no_work, is_calm
from lgs_operator.scale_reporter import ScaleReporter, Track
from lgs_operator.scale_writer import ScaleWriter
from lgs_operator.scaling import Decision, Memory, Observation, Policy, decide
from lgs_operator.scaling.samples import pinned_of
from lgs_operator.scaling.scrape import Usage
from lgs_operator.status.alerts import AlertsView, firing_of
from lgs_operator.status.budgets import BUDGETS
from lgs_operator.status.circuits import CIRCUITS
from lgs_operator.status.reporter import StatusReporter
from lgs_operator.status.revisions import current_revision
from lgs_operator.status.states import ServiceStates

log = structlog.get_logger(__name__)


class Autoscaler:
    """Scales all services. `now` is the clock, in seconds since the epoch."""

    def __init__(
        self,
        context: Context,
        states: ServiceStates,
        reporter: StatusReporter,
        webhooks: AlertWebhooks,
        *,
        histories: Histories | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._state = context.state
        self._metrics = context.metrics
        self._settings = context.settings
        self._states = states
        self._reporter = reporter
        self._now = now
        self._told = ScaleReporter(context, states, reporter, now)
        self._observer = Observer(context, now)
        self._cloud_native_pg = CloudNativePG(context)
        self._scale_writer = ScaleWriter(context)
        self._alerts = AlertWatch(context, webhooks)
        self._histories = histories or Histories(now)
        self._pace = Pace(self._settings.scale_interval, random.random)
        self._tracks: dict[ServiceKey, Track] = {}
        self._busy: set[ServiceKey] = set()

    async def run(self) -> None:
        """Decides about every service again and again until cancelled; about each at most once at a time."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                services = self._states.manifests()
                for gone in self._tracks.keys() - services.keys():
                    del self._tracks[gone]
                self._alerts.keep(services)
                self._histories.keep(services)
                self._pace.keep(services)
                now = self._now()
                self._pace.measure(time.process_time(), now)
                for key in services.keys() - self._busy:
                    if self._pace.is_due(key, now, services[key].metadata.generation):
                        self._busy.add(key)
                        tasks.create_task(self._guarded(key, services[key]))
                await asyncio.sleep(self._settings.scale_interval)

    async def _guarded(self, key: ServiceKey, service: LangGraphService) -> None:
        try:
            await self._scale(key, service)
        except KubeError as error:
            log.warning("scaling.failed", service=f"{key.namespace}/{key.name}", error=str(error))
        except Exception as error:
            # An error at one service must not end the operator of all.
            log.exception("scaling.crashed", service=f"{key.namespace}/{key.name}")
            self._metrics.internal_errors.labels("scale").inc()
            await self._told.crashed(key, error)
        finally:
            self._busy.discard(key)

    async def _scale(self, key: ServiceKey, service: LangGraphService) -> None:
        deployment = self._state.owned(key).get(Key(DEPLOYMENT, key.namespace, key.name))
        if deployment is None:
            return
        replicas, api_pods = (
            [pod for pod in self._state.pods(key, each) if not is_ended(pod)] for each in REPLICAS
        )
        pods, canary_pods, kept_pods = (list(filter(its, replicas)) for its in (is_own, is_canary, is_kept))
        track = self._track(key, service)
        live = int(deployment["spec"].get("replicas", 1))
        policy = self._policy(key, service)
        if not any(map(is_ready, (*pods, *api_pods))) and not _must_begin(
            policy, live, track.memory, is_auto=service.spec.scaling.mode == "Auto"
        ):
            # no replica can be asked: hold, and keep the law's memory
            alerts = await self._watch_alerts(key, service, None)
            self._note(key, service, Observation(self._now(), (), 0, len(pods)), None, alerts)
            unknown = tuple(each.condition(service, None) for each in (CIRCUITS, BUDGETS))
            await self._told.report(key, service, track, None, beside=unknown, alerts=alerts)
            return
        if await self._is_still_calm(key, live, pods, api_pods):
            return
        usage = _usage(service, self._history(key, service), self._now())
        observation = await self._observer.observe(key, pods, api_pods, live, usage=usage)
        beside = await self._observer.samples(key, canary_pods, usage=usage)
        if may_work(beside, canary_pods):
            # without another replica there is no canary
            policy = replace(policy, min_replicas=max(1, policy.min_replicas))
        decision = decide(policy, observation, track.memory, self._now())
        track.memory = decision.memory
        is_ours = service.spec.scaling.mode == "Auto" and decision.replicas != live
        track.refused = None
        if is_ours and not (live == 0 and await self._must_wait(key, service)):
            track.refused = await self._scale_writer.write(key, service, live, decision, observation)
        circuits = await self._told.inspect(key, service, track, CIRCUITS, observation)
        budget = await self._told.inspect(key, service, track, BUDGETS, observation)
        kept = await self._observer.samples(key, kept_pods, usage=usage)
        everybody = with_those_beside(observation, (*beside, *kept), [*canary_pods, *kept_pods])
        alerts = await self._watch_alerts(key, service, everybody)
        self._note(key, service, everybody, decision, alerts)
        self._told.measure(key, track, current_revision(deployment), everybody.samples)
        await self._told.report(
            *(key, service, track, decision),
            beside=(circuits, budget),
            alerts=alerts,
            pinned=pinned_of(everybody.samples),
        )
        is_auto, told = service.spec.scaling.mode == "Auto", service.spec.observability
        watched = told.alerts or told.slo or service.spec.budgets
        calm = is_calm(policy, observation, decision, live, is_auto=is_auto) and not api_pods
        calm = calm and not (canary_pods or kept_pods or watched)
        generation = service.metadata.generation
        self._pace.asked(key, self._now(), observation.samples, calm=calm, generation=generation)

    async def _is_still_calm(
        self, key: ServiceKey, live: int, pods: list[Manifest], api_pods: list[Manifest]
    ) -> bool:
        """Whether a service that was calm still is: asks one replica at random, another one each time."""
        now = self._now()
        if (
            not self._pace.is_glance(key, now)
            or api_pods
            or len(pods) != live
            or not all(map(is_ready, pods))
        ):
            return False
        (sample,) = await self._observer.samples(key, [random.choice(pods)]) or (None,)
        if sample is None or not has_no_work(sample):
            return False
        self._pace.glanced(key, now)
        return True

    async def _watch_alerts(
        self, key: ServiceKey, service: LangGraphService, observation: Observation | None
    ) -> AlertsView:
        return await self._alerts.observe(key, service, observation, self._reporter.before(key), self._now())

    def _history(self, key: ServiceKey, service: LangGraphService) -> ServiceHistory | None:
        return self._histories.begin(key.namespace, key.name, service.metadata.uid or "")

    def _note(
        self,
        key: ServiceKey,
        service: LangGraphService,
        observation: Observation,
        decision: Decision | None,
        alerts: AlertsView,
    ) -> None:
        """Adds this round to the history."""
        history = self._history(key, service)
        if history is None:
            return
        mode = service.spec.scaling.mode
        if decision is not None and mode != "Auto":
            # somebody else sets the number, so the law's own decision was not followed
            live = observation.ready + observation.starting
            words = f"set by scaling.mode {mode}"
            decision = replace(decision, replicas=live, code="Steady", reason=words)
        history.observe(self._now(), observation, decision, firing_of(alerts))

    async def _must_wait(self, key: ServiceKey, service: LangGraphService) -> bool:
        """Whether the first replicas must wait: without their database they would end. The condition of the
        database says so."""
        awaited = await self._cloud_native_pg.awaited(key, service)
        seen = self._states.seen(key).observed
        if awaited is not None and seen is not None and seen.cluster is None:
            self._state.mark_due(key)
        return awaited is not None

    def _policy(self, key: ServiceKey, service: LangGraphService) -> Policy:
        """The scaling policy of the manifest; the last replica stays until requests go to other replicas."""
        policy = Policy.of(service.spec)
        if leads_to_api(key, self._state.owned(key)):
            return policy
        return replace(policy, min_replicas=max(1, policy.min_replicas))

    def _track(self, key: ServiceKey, service: LangGraphService) -> Track:
        uid, mode = service.metadata.uid or "", service.spec.scaling.mode
        track = self._tracks.get(key)
        if track is None or track.uid != uid or track.mode != mode:
            status = (self._state.services.get(key, {}).get("status") or {}).get("scaling") or {}
            memory = status.get("memory") if track is None else None
            track = self._tracks[key] = Track(uid, Memory.from_json(memory), mode=mode)
        return track


def _usage(service: LangGraphService, history: ServiceHistory | None, now: float) -> Usage:
    """Whether to ask replicas about cache and tokens, too: "needed" when an alert is about them; else
    "wanted" now and then for the history, where the page is not too long for it."""
    if needs_usage(service.spec):
        return "needed"
    return "wanted" if history is not None and history.is_due(now) else "no"


def _must_begin(policy: Policy, live: int, memory: Memory, *, is_auto: bool) -> bool:
    """Whether there is something to decide although no replica can be asked. There are fewer replicas than
    the minimum, as after `spec.replicas: 0` or manual scaling, and no replica would ever become ready; or
    more than the maximum, as when `maxReplicas` was lowered because a quota has no room; or the law itself
    scaled to zero, which must not last."""
    is_outside = is_auto and not policy.min_replicas <= live <= policy.max_replicas
    return is_outside or (live == 0 and memory.replicas == 0)
