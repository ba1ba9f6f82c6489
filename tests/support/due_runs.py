"""Delayed runs whose time comes when a test says so: a short delay may be over before the story is there."""

from __future__ import annotations

from lgs_runtime.settings import Settings
from support.database_edits import edit_row

LATER_SECONDS = 3600
"""A delay that no test waits for."""


def make_due(settings: Settings, run_id: str) -> None:
    """Lets the time of a delayed run come now, in the database of a service."""
    edit_row(settings.database_uri or "", "UPDATE lgs_run SET due_at = created_at WHERE run_id = ?", run_id)
