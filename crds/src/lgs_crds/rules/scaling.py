"""Rules of `spec.scaling`. If an entry of `schedule` breaks one, Python names the first such entry. CEL does
not, as the API server can't estimate the cost of finding it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from lgs_crds.errors import Problem
from lgs_crds.model.scaling import ScheduledMinimum
from lgs_crds.model.service import Spec
from lgs_crds.rules.rule import Check, Rule
from lgs_crds.schedules import UnknownZone, next_time, zone

NEVER: Final = "must name a time that comes: there is no such day, or a range ends before it begins"
_SOME_DAY: Final = datetime(2026, 1, 1, tzinfo=UTC)


def first_scheduled(
    spec: Spec, wrong: Callable[[ScheduledMinimum], tuple[str, str] | None]
) -> Problem | None:
    """The problem of the first entry for which `wrong` returns one: a field, and the rule that it breaks."""
    for index, each in enumerate(spec.scaling.schedule):
        if (found := wrong(each)) is not None:
            name, rule = found
            value = each.model_dump(by_alias=True)[name]
            return Problem(f"spec.scaling.schedule[{index}].{name}", rule, value)
    return None


def scheduled_rule(
    at: str,
    check: Check,
    *,
    holds: str,
    rule: str,
    scaling: str = "self",
    unless: str = "false",
    cluster_only: bool = False,
) -> Rule:
    """The rule that `holds`, a CEL condition on `each`, is true of every entry of the schedule."""
    entries = f"{scaling}.schedule"
    return Rule(
        at,
        f"{unless} || !has({entries}) || {entries}.all(each, {holds})",
        f"'spec.scaling.schedule: minReplicas of each entry {rule}",
        check,
        cluster_only,
    )


def _min_above_max(spec: Spec) -> Problem | None:
    low, high = spec.scaling.min_replicas, spec.scaling.max_replicas
    if high is None or low <= high:
        return None
    return Problem("spec.scaling.minReplicas", f"must not be above maxReplicas, which is {high}", low)


def above_max(spec: Spec) -> Problem | None:
    """The problem of an entry with more replicas than the maximum."""
    most = spec.max_replicas
    rule = f"must not be above maxReplicas, which is {most}"
    return first_scheduled(spec, lambda each: ("minReplicas", rule) if each.min_replicas > most else None)


def below_min(spec: Spec) -> Problem | None:
    """The problem of an entry with fewer replicas than the general minimum."""
    fewest = spec.scaling.min_replicas
    rule = f"must not be below minReplicas of all times, which is {fewest}"
    return first_scheduled(spec, lambda each: ("minReplicas", rule) if each.min_replicas < fewest else None)


def never_comes(spec: Spec) -> Problem | None:
    """The problem of an entry whose time never comes, or whose time zone is unknown."""

    def wrong(each: ScheduledMinimum) -> tuple[str, str] | None:
        try:
            time_zone = zone(each.time_zone)
        except UnknownZone as unknown:
            return "timeZone", str(unknown)
        return ("cron", NEVER) if next_time(each.cron, _SOME_DAY, time_zone) is None else None

    return first_scheduled(spec, wrong)


RULES: Final = (
    Rule(
        "scaling",
        "!has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
        "'spec.scaling.minReplicas: %d: must not be above maxReplicas, which is %d'"
        ".format([self.minReplicas, self.maxReplicas])",
        _min_above_max,
    ),
    scheduled_rule(
        "scaling",
        above_max,
        holds="each.minReplicas <= self.maxReplicas",
        rule="must not be above maxReplicas, which is %d'.format([self.maxReplicas])",
        unless="!has(self.maxReplicas)",
    ),
    scheduled_rule(
        "scaling",
        below_min,
        holds="each.minReplicas >= self.minReplicas",
        rule="must not be below minReplicas of all times, which is %d'.format([self.minReplicas])",
    ),
    Rule(
        "scaling",
        # For an unknown time zone the API server returns its own error in place of the message.
        "!has(self.schedule) || self.schedule.all(each,"
        " timestamp('2026-01-01T00:00:00Z').getFullYear(each.timeZone) > 0)",
        "'spec.scaling.schedule: timeZone of each entry must be a name of the IANA database'",
        never_comes,
    ),
)
