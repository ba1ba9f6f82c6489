"""The status of a `LangGraphService`: its model, and how conditions change by the Kubernetes conventions.

`merged` is pure: `lastTransitionTime` changes only with a condition's status, so an unchanged service gives
an unchanged status and no write.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from lgs_crds.reasons import Reason

ConditionType = Literal[
    "Ready",
    "Progressing",
    "Reconciled",
    "Healthy",
    "PersistenceReady",
    "CacheReady",
    "BackupReady",
    "MonitoringReady",
    "Exposed",
    "ScalingActive",
    "ScalingLimited",
    "CircuitsClosed",
    "WithinBudget",
    "Alerting",
]
AlertPhase = Literal["Pending", "Firing", "Resolved"]
Truth = Literal["True", "False", "Unknown"]
RevisionState = Literal["Progressing", "Ready", "Failed", "Replaced"]
_LONGEST_MESSAGE = 2048
MOST_DIGESTS = 8
MOST_KEPT = 50
"""Most old revisions in a status: more than are kept at a time, also while some of them end."""
MOST_ALERTS = 100
"""Most alerts in a status; a manifest's, the operator's own and those of objectives together are fewer."""


class StatusPart(BaseModel):
    """Base of the status' parts. Unknown fields are left out, not refused: newer operators may have them."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)


class Condition(StatusPart):
    """One aspect of the service, as of `observedGeneration`."""

    type: Annotated[str, StringConstraints(max_length=316)] = Field(
        description="Which aspect: Ready, Progressing, Reconciled, Healthy, PersistenceReady, CacheReady, "
        "BackupReady, MonitoringReady, Exposed, ScalingActive, ScalingLimited, CircuitsClosed, WithinBudget "
        "or Alerting."
    )
    status: Truth = Field(description="Whether it is so: True, False or Unknown.")
    reason: Annotated[str, StringConstraints(min_length=1, max_length=1024)] = Field(
        description="Why, in one word; docs/errors.md says of each what to do."
    )
    message: Annotated[str, StringConstraints(max_length=32768)] = Field(
        default="", description="Why, with the names and values of this case and the way out."
    )
    observed_generation: int = Field(
        default=0, ge=0, description="The generation of the manifest that it speaks of."
    )
    last_transition_time: str | None = Field(
        default=None,
        description="When its status changed last.",
        json_schema_extra={"format": "date-time"},
    )


class ScalingStatus(StatusPart):
    """The autoscaler's last decision, what it was based on, and what the scaling law remembers."""

    desired_replicas: int | None = Field(default=None, description="Replicas that it came to.")
    reason: str | None = Field(default=None, description="Why, in words and numbers.")
    decided_at: str | None = Field(
        default=None, description="When it was made.", json_schema_extra={"format": "date-time"}
    )
    inputs: dict[str, Any] | None = Field(
        default=None,
        description="The numbers behind the decision.",
        json_schema_extra={"x-kubernetes-preserve-unknown-fields": True},
    )
    memory: str | None = Field(
        default=None, description="What the law remembers, as JSON: a new operator continues with this."
    )


class DatabaseStatus(StatusPart):
    """The database of the service, as far as the operator knows it."""

    id: Annotated[str, StringConstraints(max_length=64)] | None = Field(
        default=None,
        description="By which the service knows its database: replicas refuse an empty one and any other.",
    )
    volume: str | None = Field(default=None, description="Claim of the managed server's volume.")
    size: Annotated[str, StringConstraints(max_length=32)] | None = Field(
        default=None, description="Size that the volume's claim asks for; storage can't go below it."
    )
    deletion_policy: Literal["Retain", "Delete"] | None = Field(
        default=None,
        description="What becomes of the volume if the service is deleted now, whatever the manifest says.",
    )
    image: str | None = Field(default=None, description="Image that the managed server runs.")
    major_version: int | None = Field(
        default=None, description="Major version of PostgreSQL that the volume belongs to, where it is known."
    )
    upgrade_available: str | None = Field(
        default=None,
        description="Image that the operator would run for a new service, whose major version is another.",
    )
    password_changed_at: str | None = Field(
        default=None,
        description="When the password of the managed server was made.",
        json_schema_extra={"format": "date-time"},
    )


class BackupStatus(StatusPart):
    """The last backup that was made, checked and kept."""

    name: str | None = Field(default=None, description="Its name, as restoreFrom.name takes it.")
    time: str | None = Field(
        default=None,
        description="The moment that it holds the database of.",
        json_schema_extra={"format": "date-time"},
    )
    bytes: int | None = Field(
        default=None, description="Size of its file in bytes.", json_schema_extra={"format": "int64"}
    )
    threads: int | None = Field(
        default=None, description="Threads that it has.", json_schema_extra={"format": "int64"}
    )


class RestoreStatus(StatusPart):
    """What became of restoreFrom. Once this is there, nothing is restored any more."""

    result: str = Field(
        description="Restored, or Skipped: the database had sessions, or the service its replicas, already."
    )
    name: str | None = Field(default=None, description="The backup that was restored.")
    time: str | None = Field(
        default=None,
        description="The moment that the backup holds the database of.",
        json_schema_extra={"format": "date-time"},
    )
    threads: int | None = Field(
        default=None, description="Threads that it had.", json_schema_extra={"format": "int64"}
    )


class ApiStatus(StatusPart):
    """The replicas that answer requests, with topology Split; those beside it execute runs."""

    replicas: int | None = Field(default=None, description="Pods that exist.")
    ready_replicas: int | None = Field(default=None, description="Pods that answer requests.")
    desired_replicas: int | None = Field(default=None, description="Pods that are wanted.")


class RevisionStatus(StatusPart):
    """What the service's replicas run, or ran: an image, code, graphs and settings that are kept."""

    revision: int = Field(description="Its number, which is also the label lgs.dev/revision of its pods.")
    digest: str | None = Field(
        default=None, description="Of all that it keeps: what is released again has the number that it had."
    )
    state: RevisionState = Field(
        description="Progressing; Ready once a replica of it took work; Failed where none did within the "
        "rollout's time, or too many of its runs failed; Replaced where another one came before that."
    )
    runs: int | None = Field(
        default=None, description="Runs that its replicas had ended while they were measured."
    )
    failed_runs: int | None = Field(
        default=None, description="Those of them that ended in error or took too long."
    )
    p95: str | None = Field(
        default=None,
        description="95th percentile of the time that its runs took while replicas of others ran beside it.",
    )
    p95_beside: str | None = Field(default=None, description="That of the runs of those others.")
    slower: bool | None = Field(
        default=None, description="Its runs surely took longer than spec.rollout.maxP95Ratio lets them."
    )
    verified: bool | None = Field(
        default=None, description="Its rollout is complete, and enough of its runs ended well."
    )
    pins: bool | None = Field(
        default=None, description="Its replicas pin what they begin to it, so it can be kept for that."
    )
    image: str | None = Field(default=None, description="Image that its replicas run.")
    image_digests: list[Annotated[str, StringConstraints(max_length=135)]] | None = Field(
        default=None,
        max_length=MOST_DIGESTS,
        description="What that image was where its replicas ran, by digest, oldest first: several where its "
        "tag was moved.",
    )
    source: str | None = Field(default=None, description="ConfigMap that its replicas have their code from.")
    created_at: str | None = Field(
        default=None, description="When it was released first.", json_schema_extra={"format": "date-time"}
    )


class AlertStatus(StatusPart):
    """An alert that fires, is about to, or fired."""

    name: Annotated[str, StringConstraints(max_length=63)] = Field(description="Its name.")
    state: AlertPhase = Field(
        description="Pending: it is so, and not for long enough yet; Firing; Resolved: it fired."
    )
    severity: Annotated[str, StringConstraints(max_length=63)] | None = Field(
        default=None, description="How urgent it is."
    )
    since: str | None = Field(
        default=None, description="Since when it is so.", json_schema_extra={"format": "date-time"}
    )
    value: float | None = Field(default=None, description="What was measured then.")
    fired_at: str | None = Field(
        default=None, description="When it fired last.", json_schema_extra={"format": "date-time"}
    )
    unsent: Literal["firing", "resolved"] | None = Field(
        default=None, description="What the receiver of its webhook has not taken yet."
    )
    webhook_error: Annotated[str, StringConstraints(max_length=2048)] | None = Field(
        default=None, description="Why the receiver of its webhook did not take the last call."
    )


class ObjectiveStatus(StatusPart):
    """An objective of spec.observability.slo, over its window."""

    name: Annotated[str, StringConstraints(max_length=63)] = Field(description="availability or latency.")
    objective: float = Field(description="Share of the runs that must be good.")
    measured: float | None = Field(default=None, description="Share of them that was good.")
    runs: int | None = Field(
        default=None, description="Runs that were measured.", json_schema_extra={"format": "int64"}
    )
    budget_left: float = Field(
        description="Share of its error budget that is left; below 0 once more than all is used up."
    )


class SloStatus(StatusPart):
    """How the service keeps spec.observability.slo."""

    budget_left: str | None = Field(
        default=None, description="What is left of the error budget that is used up most, in percent."
    )
    since: str | None = Field(
        default=None, description="Since when it is measured.", json_schema_extra={"format": "date-time"}
    )
    objectives: list[ObjectiveStatus] = Field(
        default_factory=list,
        max_length=2,
        description="Its objectives.",
        json_schema_extra={"x-list-keys": ["name"]},
    )
    memory: str | None = Field(
        default=None, description="What was counted, as JSON: a new operator continues with this."
    )


class CanaryStatus(StatusPart):
    """The revision that takes the runs of a share of the threads beside the one before it."""

    revision: int = Field(description="Its number.")
    step: int = Field(description="Which of spec.rollout.steps it is at, from 1; one more: it becomes all.")
    percent: int = Field(description="The share of the threads that it takes.")
    since: str = Field(description="When the step began.", json_schema_extra={"format": "date-time"})
    runs: int | None = Field(default=None, description="Runs that it has ended since then.")
    failed_runs: int | None = Field(
        default=None, description="Those of them that ended in error or were timed out."
    )


class PinnedStatus(StatusPart):
    """An old revision that is kept for what is pinned to it, with spec.rollout.strategy Pinned."""

    revision: int = Field(description="Its number.")
    replicas: int = Field(description="Replicas of it that are wanted.")
    ready_replicas: int = Field(description="Replicas of it that take work.")
    threads: int | None = Field(
        default=None,
        description="Interrupted threads that are pinned to it, as replicas counted them last.",
        json_schema_extra={"format": "int64"},
    )
    runs: int | None = Field(
        default=None,
        description="Unfinished runs that are pinned to it.",
        json_schema_extra={"format": "int64"},
    )
    since: str | None = Field(
        default=None, description="Since when it is kept.", json_schema_extra={"format": "date-time"}
    )
    idle_since: str | None = Field(
        default=None,
        description="Since when nothing is pinned to it, and nothing can become so.",
        json_schema_extra={"format": "date-time"},
    )


class Status(StatusPart):
    """What the operator saw and did."""

    observed_generation: int | None = Field(default=None, description="The generation that was acted on.")
    conditions: list[Condition] = Field(
        default_factory=list,
        description="What is and what is not as it should be, one aspect each.",
        json_schema_extra={"x-list-keys": ["type"]},
    )
    replicas: int | None = Field(default=None, description="Pods that exist.")
    ready_replicas: int | None = Field(default=None, description="Pods that take work.")
    desired_replicas: int | None = Field(default=None, description="Pods that are wanted now.")
    selector: str | None = Field(default=None, description="Label selector of the pods, for HPA and KEDA.")
    revision: int | None = Field(default=None, description="Number of the revision that new replicas run.")
    revisions: list[RevisionStatus] = Field(
        default_factory=list,
        description="The revisions that are kept, newest first.",
        json_schema_extra={"x-list-keys": ["revision"]},
    )
    canary: CanaryStatus | None = None
    pinned: list[PinnedStatus] | None = Field(
        default=None,
        max_length=MOST_KEPT,
        description="Old revisions that are kept for what is pinned to them, newest first.",
        json_schema_extra={"x-list-keys": ["revision"]},
    )
    endpoint: str | None = Field(default=None, description="Address inside the cluster.")
    queue: int | None = Field(default=None, description="Runs that wait and could start now.")
    p95: str | None = Field(default=None, description="95th percentile of run latency in the last minute.")
    api: ApiStatus | None = None
    scaling: ScalingStatus | None = None
    alerts: list[AlertStatus] | None = Field(
        default=None,
        max_length=MOST_ALERTS,
        description="Alerts of spec.observability.alerts that fire, are about to, or fired.",
        json_schema_extra={"x-list-keys": ["name"]},
    )
    slo: SloStatus | None = None
    database: DatabaseStatus | None = None
    backup: BackupStatus | None = None
    restore: RestoreStatus | None = None


def status_before(written: Mapping[str, Any]) -> Status:
    """The status that an earlier operator wrote; an empty one if this version can't read it."""
    try:
        return Status.model_validate(dict(written))
    except ValidationError:
        return Status()


def condition(kind: ConditionType, status: Truth, reason: Reason, message: str = "") -> Condition:
    """A condition as it is now; `merged` adds its generation and time."""
    if len(message) > _LONGEST_MESSAGE:
        message = message[: _LONGEST_MESSAGE - 1] + "…"
    return Condition(type=kind, status=status, reason=reason, message=message)


def merged(
    before: Iterable[Mapping[str, Any]], now: Iterable[Condition], *, generation: int, at: datetime
) -> list[Condition]:
    """`now` with `observedGeneration`; a condition whose status is as `before` keeps its transition time."""
    known = {each.get("type"): each for each in before}
    stamp = timestamp(at)
    result = []
    for each in now:
        old = known.get(each.type)
        same = old is not None and old.get("status") == each.status and old.get("lastTransitionTime")
        since = str(old["lastTransitionTime"]) if same and old is not None else stamp
        result.append(
            each.model_copy(update={"observed_generation": generation, "last_transition_time": since})
        )
    return result


def timestamp(at: datetime) -> str:
    """Kubernetes' time format: UTC, whole seconds. `at` must carry a time zone."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def timestamp_of(written: object) -> str | None:
    """A written time in Kubernetes' format, read as UTC if it names no zone. None for what is no time: a
    single such value would make the API server refuse the whole status."""
    try:
        found = datetime.fromisoformat(str(written))
        moment = timestamp(found if found.tzinfo else found.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return None
    return moment if len(moment) == len("2026-01-01T00:00:00Z") else None
