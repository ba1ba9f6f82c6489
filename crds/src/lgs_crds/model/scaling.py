"""`spec.scaling`: who sets the number of replicas, its bounds, targets and schedule."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lgs_crds.model.base import FILLED, Part
from lgs_crds.texts import CronSchedule, TimeZone

DEFAULT_MAX_REPLICAS = 10
MOST_SCHEDULED = 50


class PriorityTarget(Part):
    """What the autoscaler aims at for runs of one priority."""

    queue_wait_seconds: float = Field(
        gt=0,
        le=86400,
        description="Seconds that hardly a run of this priority waits longer at a steady load. With more "
        "than 30 its arrivals count by their mean over that time, and a queue of them alone is served within "
        "it.",
    )


class TargetsByPriority(Part):
    """Targets of single priorities; the others have those of all."""

    high: PriorityTarget | None = Field(default=None, description="Not set: queueWaitSeconds of all runs.")
    normal: PriorityTarget | None = Field(default=None, description="Not set: queueWaitSeconds of all runs.")
    low: PriorityTarget | None = Field(default=None, description="Not set: queueWaitSeconds of all runs.")


class Target(Part):
    """What the autoscaler aims at."""

    p95_latency_seconds: float | None = Field(
        default=None,
        gt=0,
        le=86400,
        description="Seconds from due to ended that 95 of 100 runs should keep to. Above it replicas are "
        "added when waiting is why. Not set: how long runs take is not looked at.",
    )
    queue_wait_seconds: float = Field(
        default=1.0,
        gt=0,
        le=3600,
        description="Seconds that hardly a run (1 of 100) waits longer at a steady load.",
    )
    utilization: float = Field(
        default=0.9,
        ge=0.05,
        le=1,
        description="Highest share of the slots (0.05 to 1) that is planned to be in use. A small service "
        "keeps more room, so that queueWaitSeconds holds.",
    )
    by_priority: TargetsByPriority = Field(default_factory=TargetsByPriority, json_schema_extra=FILLED)


class ScaleDown(Part):
    """How careful scaling in is."""

    hold_seconds: float | None = Field(
        default=None,
        ge=0,
        le=3600,
        description="Seconds for which fewer replicas must have been enough. Not set: 60, or less (down to "
        "10) where queueWaitSeconds is above 1.",
    )
    idle_seconds: float = Field(
        default=300,
        ge=0,
        le=86400,
        description="With minReplicas 0: seconds without a run after which the last replica goes.",
    )


class ScheduledMinimum(Part):
    """More replicas than at other times. Of entries that hold at a time, the one with the most counts."""

    cron: CronSchedule = Field(
        description="When it begins, as a cron schedule: minute, hour, day of month, month, day of week. The "
        "replicas are ready then: they are asked for earlier, by what a replica takes to start."
    )
    time_zone: TimeZone = Field(
        default="UTC", description="Time zone of the schedule, by its name in the IANA database."
    )
    min_replicas: int = Field(ge=1, le=1000, description="Fewest replicas from then on, in mode Auto.")
    duration_seconds: int | None = Field(
        default=None,
        ge=60,
        le=31622400,
        description="Seconds for which it holds. Not set: until the next time of any entry of the schedule.",
    )


class Scaling(Part):
    """Who sets the number of replicas, and between which bounds."""

    mode: Literal["Auto", "Manual", "External"] = Field(
        default="Auto",
        description="Auto: this operator, by load. Manual: spec.replicas. "
        "External: an HPA or KEDA, through the scale subresource.",
    )
    min_replicas: int = Field(
        default=1,
        ge=0,
        le=1000,
        description="Fewest replicas in mode Auto. 0, with topology Split: none while there is no work.",
    )
    max_replicas: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Most replicas in mode Auto. Not set: 10 (or the most of any minReplicas), "
        "1 when persistence.postgres is not set.",
    )
    schedule: list[ScheduledMinimum] = Field(
        default_factory=list,
        max_length=MOST_SCHEDULED,
        description="More than minReplicas at times that are known before, such as office hours.",
    )
    predict: bool = Field(
        default=False,
        description="Be ready for what the same quarter of an hour of the days before needed, in mode Auto: "
        "from the fourth day on, and never less than the load asks for.",
    )
    target: Target = Field(default_factory=Target, json_schema_extra=FILLED)
    overshoot: float = Field(
        default=3.0,
        ge=1,
        le=10,
        description="While runs wait there are at most so many times the replicas that the load needs, or "
        "what clears the queue within a minute if that is more. They go when the queue is gone.",
    )
    scale_down: ScaleDown = Field(default_factory=ScaleDown, json_schema_extra=FILLED)
