"""Statements on the records of threads. `{order}` is filled from a fixed list of columns."""

from __future__ import annotations

from typing import Final

from lgs_runtime.storage.sqlite.statements.conditions import within

CHANGED_THREADS: Final = """
-- Times are kept with more digits than are answered.
SELECT seen.key FROM json_each(:seen) AS seen
LEFT JOIN lgs_thread AS thread ON thread.thread_id = seen.key
WHERE thread.thread_id IS NULL OR thread.status = 'busy' OR seen.value IS NULL
    OR abs(thread.updated_at - seen.value) > 0.000001
"""

CREATE_THREAD: Final = """
INSERT INTO lgs_thread (thread_id, metadata, ttl_seconds, ttl_strategy, created_at, updated_at,
                        state_updated_at, created_by)
VALUES (:thread_id, :metadata, :ttl_seconds, :ttl_strategy, :now, :now, :now, :created_by)
ON CONFLICT DO NOTHING RETURNING *
"""

THREAD: Final = f"""
SELECT * FROM lgs_thread WHERE thread_id = :thread_id AND {within()}
"""

UPDATE_THREAD: Final = """
UPDATE lgs_thread
SET metadata = :metadata, ttl_seconds = coalesce(:ttl_seconds, ttl_seconds),
    ttl_strategy = CASE WHEN :ttl_seconds IS NULL THEN ttl_strategy ELSE :ttl_strategy END, updated_at = :now
WHERE thread_id = :thread_id RETURNING *
"""

SET_THREAD_STATE: Final = """
UPDATE lgs_thread
SET "values" = :values, interrupts = :interrupts, rest = :rest, error = NULL, updated_at = :now,
    state_updated_at = :now, pin = CASE WHEN rest = 'interrupted' AND :rest = 'interrupted' THEN pin END
WHERE thread_id = :thread_id RETURNING *
"""

DELETE_RUNS_OF_THREAD: Final = "DELETE FROM lgs_run WHERE thread_id = :thread_id RETURNING run_id, status"

DELETE_THREAD: Final = f"""
DELETE FROM lgs_thread WHERE thread_id = :thread_id AND {within()} RETURNING thread_id
"""

DELETE_VERSIONS_OF_THREAD: Final = "DELETE FROM lgs_version WHERE thread_id = :thread_id"

DELETE_CRONS_OF_THREAD: Final = "DELETE FROM lgs_cron WHERE thread_id = :thread_id"

FORGET_THREAD_OVER_VERSION_LIMIT: Final = "DELETE FROM lgs_crowded_thread WHERE thread_id = :thread_id"

COPY_VERSIONS: Final = """
INSERT INTO lgs_version (thread_id, version, checkpoint_id, run_id, description, metadata, interrupts,
                         created_at, created_by)
SELECT :new_thread_id, version, checkpoint_id, run_id, description, metadata, interrupts, created_at,
       created_by
FROM lgs_version WHERE thread_id = :thread_id
"""

COPY_THREAD: Final = """
INSERT INTO lgs_thread (thread_id, metadata, config, "values", versions, created_at, updated_at,
                        state_updated_at, created_by, ttl_seconds, ttl_strategy)
SELECT :new_thread_id, coalesce(:metadata, metadata), config, "values", versions, :now, :now, :now,
       :created_by, :ttl_seconds, :ttl_strategy
FROM lgs_thread WHERE thread_id = :thread_id
ON CONFLICT DO NOTHING RETURNING *
"""

_THREADS: Final = f"""
FROM lgs_thread
WHERE (:ids IS NULL OR thread_id IN (SELECT value FROM json_each(:ids)))
  AND (:metadata IS NULL OR lgs_contains(metadata, :metadata))
  AND (:values IS NULL OR lgs_contains("values", :values))
  AND (:status IS NULL OR status = :status)
  AND {within()}
"""

THREADS: Final = f"SELECT * {_THREADS} ORDER BY {{order}}, thread_id LIMIT :limit OFFSET :offset"

COUNT_THREADS: Final = f"SELECT count(*) {_THREADS}"

_OVER: Final = """
ttl_seconds IS NOT NULL AND unfinished = 0 AND max(updated_at, coalesce(ttl_from, 0)) + ttl_seconds < :now
"""

EXPIRED_THREADS: Final = f"""
SELECT thread_id FROM lgs_thread WHERE {_OVER} AND ttl_strategy IS NOT 'keep_latest' LIMIT :limit
"""

STALE_THREADS: Final = f"""
SELECT * FROM lgs_thread
WHERE {_OVER} AND ttl_strategy = 'keep_latest' AND thinned_at IS NOT updated_at LIMIT :limit
"""

# The model's times are rounded to microseconds; a change since then is later by the whole time to live.
NOTE_PRUNED: Final = """
UPDATE lgs_thread SET thinned_at = updated_at
WHERE thread_id = :thread_id AND abs(updated_at - :updated_at) < 0.000002
"""
