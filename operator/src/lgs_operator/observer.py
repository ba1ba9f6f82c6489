"""Asks the replicas of a service for their metrics, and turns the answers into the observation for the
scaling law."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from lgs_operator.context import Context
from lgs_operator.kube.kinds import Manifest, ServiceKey
from lgs_operator.kube.pods import (
    created_at,
    is_going,
    is_ready,
    seconds_since_created,
    startup_seconds,
    url_of,
)
from lgs_operator.scaling import Observation, ReplicaSample
from lgs_operator.scaling.samples import NoSample, first_without, typical_startup
from lgs_operator.scaling.scrape import METRICS_PATH, Usage, ask
from lgs_operator.turns import FairSlots

_SCRAPES_AT_ONCE = 64
_SCRAPE_TIMEOUT = 1.0


class Observer:
    """Observes services. `now` is the clock, in seconds since the epoch."""

    def __init__(self, context: Context, now: Callable[[], float]) -> None:
        self._metrics = context.metrics
        self._http = context.http
        self._now = now
        self._scrapes = FairSlots(_SCRAPES_AT_ONCE, _SCRAPES_AT_ONCE // 2)

    async def observe(
        self,
        key: ServiceKey,
        pods: list[Manifest],
        api_pods: list[Manifest],
        live: int,
        *,
        usage: Usage = "no",
    ) -> Observation:
        """The service at this moment. `pods` execute runs, `api_pods` only answer requests; `live` is the
        number of replicas that its Deployment requests."""
        ready, answering = _asked(pods), _asked(api_pods)
        going = [pod for pod in pods if is_going(pod)]
        answers = await self._answers(key.namespace, (*ready, *answering), usage)
        samples, fronts = _given(answers[: len(ready)]), _given(answers[len(ready) :])
        now = self._now()
        return Observation(
            at=now,
            # More replicas that execute runs would not help replicas that only answer requests.
            samples=(*samples, *(replace(each, loop_lag=0.0) for each in fronts)),
            ready=len(ready),
            # requested pods that do not exist yet are on their way, too
            starting=max(len(pods) - len(ready) - len(going), live - len(ready), 0),
            draining=len(going),
            failed=len(ready) - len(samples),
            silent=len(answering) - len(fronts),
            example=first_without(answers[: len(ready)]) or first_without(answers),
            starting_for=tuple(
                seconds_since_created(pod, now) for pod in pods if not is_ready(pod) and not is_going(pod)
            ),
            startup_seconds=typical_startup(_startups(ready)),
        )

    async def samples(
        self, key: ServiceKey, pods: list[Manifest], *, usage: Usage = "no"
    ) -> tuple[ReplicaSample, ...]:
        """The answers of these replicas, as far as they can be asked."""
        return _given(await self._answers(key.namespace, _asked(pods), usage))

    async def _answers(
        self, namespace: str, pods: Sequence[Manifest], usage: Usage
    ) -> list[ReplicaSample | NoSample]:
        return await self._scrapes.all(namespace, (partial(self._ask, pod, usage) for pod in pods))

    async def _ask(self, pod: Manifest, usage: Usage) -> ReplicaSample | NoSample:
        answer = await ask(
            self._http,
            lambda path: url_of(pod, path) or "",
            _SCRAPE_TIMEOUT,
            pod["metadata"]["name"],
            usage,
        )
        self._metrics.scrapes.labels("failed" if isinstance(answer, NoSample) else "done").inc()
        return answer


def with_those_beside(
    observation: Observation, samples: tuple[ReplicaSample, ...], pods: list[Manifest]
) -> Observation:
    """The observation with the answers of `pods` beside the service's own added, which the law ignores."""
    silent = len(_asked(pods)) - len(samples)
    return replace(
        observation, samples=(*observation.samples, *samples), failed=observation.failed + max(silent, 0)
    )


def may_work(samples: tuple[ReplicaSample, ...], pods: list[Manifest]) -> bool:
    """Whether these pods may be executing something, according to their answers; a pod that did not answer
    may."""
    return len(samples) < len(_asked(pods)) or any(each.in_use for each in samples)


def _asked(pods: list[Manifest]) -> list[Manifest]:
    """The pods that can be asked for their metrics."""
    return [pod for pod in pods if is_ready(pod) and url_of(pod, METRICS_PATH) is not None]


def _given(answers: Sequence[ReplicaSample | NoSample]) -> tuple[ReplicaSample, ...]:
    return tuple(each for each in answers if isinstance(each, ReplicaSample))


def _startups(ready: list[Manifest]) -> list[float]:
    """Seconds that replicas took to start, the newest replica first."""
    newest = sorted(ready, key=created_at, reverse=True)
    return [took for pod in newest if (took := startup_seconds(pod)) is not None]
