"""Statements that end runs."""

from __future__ import annotations

from typing import Final

MARK_RUN: Final = "UPDATE lgs_run SET metadata = :metadata WHERE run_id = :run_id"

MARK_THREAD: Final = "UPDATE lgs_thread SET metadata = :metadata WHERE thread_id = :thread_id"

END_RUN: Final = """
UPDATE lgs_run
SET status = :status, error = :error, result = :result, version = :version, claimed_by = NULL,
    ended_at = :now, updated_at = :now
WHERE run_id = :run_id
"""

LEAVE_THREAD: Final = """
UPDATE lgs_thread
SET unfinished = unfinished - 1, rest = coalesce(:rest, rest),
    pin = CASE WHEN :rest IS NULL THEN pin WHEN :rest = 'interrupted' THEN :pin END,
    error = CASE WHEN :rest IS NULL THEN error ELSE :error END,
    "values" = coalesce(:values, "values"), interrupts = coalesce(:interrupts, interrupts), updated_at = :now,
    state_updated_at = CASE WHEN :rest IS NULL THEN state_updated_at ELSE :now END
WHERE thread_id = :thread_id RETURNING unfinished
"""

DROP_ORPHANED_THREAD: Final = """
DELETE FROM lgs_thread WHERE thread_id = :thread_id AND unfinished = 0 RETURNING thread_id
"""

KEEP_WEBHOOK: Final = """
INSERT INTO lgs_webhook (run_id, url, "values", due_at) VALUES (:run_id, :url, :values, :now)
"""
