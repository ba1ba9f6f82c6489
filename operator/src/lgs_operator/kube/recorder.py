"""Kubernetes Events about a service: what happened and why, for `kubectl describe`.

A repeated Event raises the count of the first. Each service may have 25 at once and one more each five
seconds, and as many for its alerts, which may flap, and for circuits, whose names replicas may make up;
beyond that Events are dropped. An Event that can't be written is logged and never stops the work.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import structlog

from lgs_crds import API_VERSION, KIND
from lgs_crds.reasons import Reason
from lgs_crds.status import timestamp
from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import EVENT, EventType, Manifest, ServiceKey

log = structlog.get_logger(__name__)
_BURST = 25.0
_REFILL_SECONDS = 5.0
_REMEMBERED = 4096
_LONGEST_MESSAGE = 1000
_APART: Final[Mapping[Reason, str]] = {
    "AlertFiring": "alerts",
    "AlertResolved": "alerts",
    "WebhookFailed": "alerts",
    "CircuitOpened": "circuits",
    "CircuitClosed": "circuits",
}
"""Reasons from a manifest's own rules and from its replicas, which may be as many as they like: they take no
other Event's place."""


@dataclass
class _Known:
    name: str
    count: int
    first: str


@dataclass
class _Bucket:
    tokens: float
    at: datetime


def _utc_now() -> datetime:
    return datetime.now(UTC)


class EventRecorder:
    """Writes Events; `now` is the clock."""

    def __init__(self, cluster: KubeClient, identity: str, *, now: Callable[[], datetime] = _utc_now) -> None:
        self._cluster = cluster
        self._identity = identity
        self._now = now
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._buckets: OrderedDict[tuple[str, str], _Bucket] = OrderedDict()

    async def emit(self, key: ServiceKey, uid: str, kind: EventType, reason: Reason, message: str) -> None:
        """Emits an Event about the service."""
        message = message[:_LONGEST_MESSAGE]
        if not self._allowed(uid, _APART.get(reason, "")):
            return
        log.info("event", service=f"{key.namespace}/{key.name}", type=kind, reason=reason, message=message)
        try:
            await self._write(key, uid, kind, reason, message)
        except KubeError as error:
            log.warning("event.lost", service=f"{key.namespace}/{key.name}", reason=reason, error=str(error))

    async def _write(self, key: ServiceKey, uid: str, kind: EventType, reason: str, message: str) -> None:
        digest = hashlib.sha256(f"{uid}\0{kind}\0{reason}\0{message}".encode()).hexdigest()[:16]
        stamp = timestamp(self._now())
        known = self._known.get(digest)
        if known is not None:
            known.count += 1
            self._known.move_to_end(digest)
            try:
                patch = {"count": known.count, "lastTimestamp": stamp}
                await self._cluster.merge(EVENT, key.namespace, known.name, patch)
                return
            except KubeError as error:
                if not error.not_found:  # the API server forgets Events after an hour
                    raise
        name = f"{key.name}.{digest}{int(self._now().timestamp()):x}"
        self._known[digest] = _Known(name, 1, stamp)
        self._trim()
        event = self._event(key, uid, kind, reason, message) | {
            "metadata": {"name": name, "namespace": key.namespace},
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
        }
        await self._cluster.create(EVENT, key.namespace, event)

    def _event(self, key: ServiceKey, uid: str, kind: EventType, reason: str, message: str) -> Manifest:
        return {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.name,
            "type": kind,
            "reason": reason,
            "message": message,
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "name": key.name,
                "namespace": key.namespace,
                "uid": uid,
            },
            "source": {"component": "lgs-operator"},
            "reportingComponent": "lgs.dev/operator",
            "reportingInstance": self._identity,
        }

    def _allowed(self, uid: str, group: str) -> bool:
        now = self._now()
        bucket = self._buckets.setdefault((uid, group), _Bucket(_BURST, now))
        # A clock that was set back takes no tokens away: otherwise nothing would be said until it catches up.
        refill = max(0.0, (now - bucket.at).total_seconds()) / _REFILL_SECONDS
        bucket.tokens, bucket.at = min(_BURST, bucket.tokens + refill), now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    def _trim(self) -> None:
        for remembered in (self._known, self._buckets):
            while len(remembered) > _REMEMBERED:
                remembered.popitem(last=False)
