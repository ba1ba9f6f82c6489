"""Changes of the tables for crons."""

from __future__ import annotations

from typing import Final

CRONS: Final = """
CREATE TABLE lgs_cron (
    cron_id          text PRIMARY KEY,
    assistant_id     text NOT NULL,
    thread_id        text,
    schedule         text NOT NULL,
    timezone         text,
    payload          json NOT NULL,
    metadata         jsonb NOT NULL,
    on_run_completed text,
    end_time         timestamptz,
    enabled          boolean NOT NULL,
    next_run_date    timestamptz,
    held_until       timestamptz NOT NULL DEFAULT '-infinity',
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX lgs_cron_due ON lgs_cron (next_run_date) WHERE enabled;
"""

OF_THREADS: Final = """
-- The crons of a thread are deleted with it.
CREATE INDEX lgs_cron_of_thread ON lgs_cron (thread_id) WHERE thread_id IS NOT NULL;
"""
