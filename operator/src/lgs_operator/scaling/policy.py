"""What the user asks of the scaling law, from `scaling` and `workers` of the manifest."""

from __future__ import annotations

from dataclasses import dataclass

from lgs_crds import Spec
from lgs_crds.model.scaling import ScheduledMinimum, TargetsByPriority
from lgs_operator.scaling.priorities import NO_OWN_WAITS, Waits


@dataclass(frozen=True, slots=True)
class Policy:
    """Bounds and targets. Times in seconds; `slots` is how many runs one replica executes at a time."""

    min_replicas: int = 1
    max_replicas: int = 10
    slots: int = 50
    p95_latency_seconds: float | None = 2.0
    queue_wait_seconds: float = 1.0
    utilization: float = 0.9
    """The largest share of the slots that is planned to be in use."""
    overshoot: float = 3.0
    """The most that waiting runs may ask for, as a multiple of what the load needs."""
    hold_seconds: float | None = None
    """How long fewer replicas must have been enough before one goes, at least; None: as `queue_wait_seconds`
    decides."""
    idle_seconds: float = 300.0
    """With min_replicas 0: how long there must have been no work before the last replica goes."""
    waits: Waits = NO_OWN_WAITS
    """Seconds that a run of high, normal and low priority may wait; None: queue_wait_seconds."""
    predict: bool = False
    """Whether to be ready for the load that the days before had at the same time."""
    schedule: tuple[ScheduledMinimum, ...] = ()
    """Higher minimums than min_replicas, at certain times."""

    def __post_init__(self) -> None:
        rules = (
            (self.min_replicas >= 0, "min_replicas", self.min_replicas, "at least 0"),
            (
                self.max_replicas >= max(1, self.min_replicas),
                "max_replicas",
                self.max_replicas,
                "at least min_replicas",
            ),
            (self.slots >= 1, "slots", self.slots, "at least 1"),
            (0 < self.utilization <= 1, "utilization", self.utilization, "above 0 and at most 1"),
            (self.overshoot >= 1, "overshoot", self.overshoot, "at least 1"),
            (self.queue_wait_seconds > 0, "queue_wait_seconds", self.queue_wait_seconds, "above 0"),
            (
                self.hold_seconds is None or self.hold_seconds >= 0,
                "hold_seconds",
                self.hold_seconds,
                "at least 0",
            ),
            (self.idle_seconds >= 0, "idle_seconds", self.idle_seconds, "at least 0"),
        )
        for holds, name, value, rule in rules:
            if not holds:
                raise ValueError(f"{name} is {value}; it must be {rule}")

    @staticmethod
    def of(spec: Spec) -> Policy:
        """The policy in a manifest."""
        return Policy(
            min_replicas=spec.scaling.min_replicas,
            max_replicas=spec.max_replicas,
            slots=spec.workers.concurrency,
            p95_latency_seconds=spec.scaling.target.p95_latency_seconds,
            queue_wait_seconds=spec.scaling.target.queue_wait_seconds,
            utilization=spec.scaling.target.utilization,
            overshoot=spec.scaling.overshoot,
            hold_seconds=spec.scaling.scale_down.hold_seconds,
            idle_seconds=spec.scaling.scale_down.idle_seconds,
            waits=_waits(spec.scaling.target.by_priority),
            predict=spec.scaling.predict,
            schedule=tuple(spec.scaling.schedule),
        )


def _waits(targets: TargetsByPriority) -> Waits:
    high, normal, low = (
        None if each is None else each.queue_wait_seconds
        for each in (targets.high, targets.normal, targets.low)
    )
    return high, normal, low
