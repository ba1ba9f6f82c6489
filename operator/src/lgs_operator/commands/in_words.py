"""What several commands say of a service's status in words. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from lgs_crds.status import Condition

WELL_WHEN_FALSE: Final = frozenset({"ScalingLimited", "Alerting"})
"""Conditions that say by True that something is to be known."""
AS_ASKED: Final = frozenset({"Complete", "Manual", "External"})
"""Reasons for which a condition is False and all is as the manifest has it."""
UNSAID: Final = "no operator has said anything of it yet"


def to_know_of(conditions: Iterable[Condition]) -> list[Condition]:
    """The conditions that are not as they should be."""
    return [each for each in conditions if not _says_nothing(each)]


def ago(moment: str | None, now: datetime) -> str:
    """`5 min ago`."""
    found = age(moment, now)
    return "at an unknown time" if found is None else f"{found} ago"


def age(moment: str | None, now: datetime) -> str | None:
    """How long it is since then, in the largest unit of which there are two; None where it says no time."""
    try:
        seconds = int((now - datetime.fromisoformat(moment or "")).total_seconds())
    except (ValueError, TypeError):
        return None
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{max(0, seconds)} s"


def _says_nothing(each: Condition) -> bool:
    if each.type in WELL_WHEN_FALSE:
        return each.status != "True"
    return each.status != "False" or each.reason in AS_ASKED
