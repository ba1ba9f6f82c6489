"""The rules of `scaling.schedule`, each of which names the first entry that breaks it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from lgs_crds.errors import Problem
from lgs_crds.model import ScheduledMinimum, Spec
from lgs_crds.schedules import UnknownZone, next_time, zone

NEVER: Final = "must name a time that comes: there is no such day, or a range ends before it begins"
_SOME_DAY: Final = datetime(2026, 1, 1, tzinfo=UTC)


def first_scheduled(
    spec: Spec, wrong: Callable[[ScheduledMinimum], tuple[str, str] | None]
) -> Problem | None:
    """The problem of the first entry in which `wrong` finds one: a field, and the rule that it breaks."""
    for index, each in enumerate(spec.scaling.schedule):
        if (found := wrong(each)) is not None:
            name, rule = found
            value = each.model_dump(by_alias=True)[name]
            return Problem(f"spec.scaling.schedule[{index}].{name}", rule, value)
    return None


def above_max(spec: Spec) -> Problem | None:
    """An entry that asks for more than there may be."""
    most = spec.max_replicas
    rule = f"must not be above maxReplicas, which is {most}"
    return first_scheduled(spec, lambda each: ("minReplicas", rule) if each.min_replicas > most else None)


def below_min(spec: Spec) -> Problem | None:
    """An entry that asks for less than there are at all times."""
    fewest = spec.scaling.min_replicas
    rule = f"must not be below minReplicas of all times, which is {fewest}"
    return first_scheduled(spec, lambda each: ("minReplicas", rule) if each.min_replicas < fewest else None)


def never_comes(spec: Spec) -> Problem | None:
    """An entry whose time can't come, or can't be told."""

    def wrong(each: ScheduledMinimum) -> tuple[str, str] | None:
        try:
            time_zone = zone(each.time_zone)
        except UnknownZone as unknown:
            return "timeZone", str(unknown)
        return ("cron", NEVER) if next_time(each.cron, _SOME_DAY, time_zone) is None else None

    return first_scheduled(spec, wrong)
