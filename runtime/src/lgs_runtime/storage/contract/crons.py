"""Crons: their records, and claiming those that are due, each by one replica at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol

from lgs_runtime.model import Cron, Scope
from lgs_runtime.storage.queries import CronQuery

CHANGEABLE: Final = (
    "schedule",
    "timezone",
    "payload",
    "metadata",
    "on_run_completed",
    "end_time",
    "enabled",
    "next_run_date",
    "caller",
)
"""The fields of a cron that may be changed."""


class Crons(Protocol):
    """Runs that are made again and again, on a schedule."""

    async def create(self, cron: Cron) -> Cron:
        """Stores a cron."""

    async def get(self, cron_id: str, scope: Scope | None = None) -> Cron:
        """One cron. Raises `NotFound`."""

    async def update(self, cron_id: str, changes: Mapping[str, Any], scope: Scope | None = None) -> Cron:
        """Replaces the fields in `changes` (of `CHANGEABLE`). Raises `NotFound`."""

    async def delete(self, cron_id: str, scope: Scope | None = None) -> None:
        """Deletes a cron. Raises `NotFound`."""

    async def search(self, query: CronQuery) -> Sequence[Cron]:
        """A page of the crons that match."""

    async def count(self, query: CronQuery) -> int:
        """How many crons match."""

    async def claim(self, limit: int, hold_seconds: float) -> Sequence[Cron]:
        """Crons that are due, each given to one caller for `hold_seconds` and then to the next caller, until
        one has advanced it. Crons that nobody was given yet come first, then those given longest ago."""

    async def advance(self, cron_id: str, due: datetime, following: datetime | None) -> bool:
        """Notes that the run of the time `due` is made, and sets the time of the next to `following` (None:
        there is none). Returns False, and changes nothing, when the cron was advanced or changed
        meanwhile."""
