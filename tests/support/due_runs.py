"""Delayed runs whose time comes when a test says so: a short delay may be over before the story is there."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import psycopg

from lgs_runtime.settings import Settings

LATER_SECONDS = 3600
"""A delay that no test waits for."""


def make_due(settings: Settings, run_id: str) -> None:
    """Lets the time of a delayed run come now, in the database of a service."""
    uri = settings.database_uri or ""
    if uri.startswith("sqlite:///"):
        file = uri.removeprefix("sqlite:///")
        with closing(sqlite3.connect(file, timeout=60)) as lite, lite:
            change = "UPDATE lgs_run SET due_at = created_at WHERE run_id = ?"
            changed = lite.execute(change, (run_id,)).rowcount
    else:
        with psycopg.connect(uri) as connection:
            change = "UPDATE lgs_run SET due_at = created_at WHERE run_id = %s"
            changed = connection.execute(change, (run_id,)).rowcount
    assert changed == 1, run_id
