"""Changes of the tables for crons."""

from __future__ import annotations

from typing import Final

CRONS: Final = """
CREATE TABLE lgs_cron (
    cron_id          TEXT PRIMARY KEY,
    assistant_id     TEXT NOT NULL,
    thread_id        TEXT,
    schedule         TEXT NOT NULL,
    timezone         TEXT,
    payload          TEXT NOT NULL,
    metadata         TEXT NOT NULL,
    on_run_completed TEXT,
    end_time         REAL,
    enabled          INTEGER NOT NULL,
    next_run_date    REAL,
    held_until       REAL NOT NULL DEFAULT 0,
    created_at       REAL NOT NULL,
    updated_at       REAL NOT NULL
);
CREATE INDEX lgs_cron_due ON lgs_cron (next_run_date) WHERE enabled
"""

OF_THREADS: Final = """
-- The crons of a thread are deleted with it.
CREATE INDEX lgs_cron_of_thread ON lgs_cron (thread_id) WHERE thread_id IS NOT NULL
"""
