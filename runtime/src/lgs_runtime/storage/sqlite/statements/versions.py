"""Statements on the versions of threads."""

from __future__ import annotations

from typing import Final

VERSIONS: Final = """
SELECT * FROM lgs_version
WHERE thread_id = :thread_id AND (:metadata IS NULL OR lgs_contains(metadata, :metadata))
ORDER BY version DESC LIMIT :limit OFFSET :offset
"""

VERSION: Final = "SELECT * FROM lgs_version WHERE thread_id = :thread_id AND version = :version"

DESCRIBE_VERSION: Final = """
UPDATE lgs_version SET description = coalesce(:description, description), metadata = :metadata
WHERE thread_id = :thread_id AND version = :version RETURNING *
"""

THREAD: Final = "SELECT unfinished FROM lgs_thread WHERE thread_id = :thread_id"

COUNT_VERSION: Final = """
UPDATE lgs_thread SET versions = versions + 1, updated_at = :now WHERE thread_id = :thread_id
RETURNING versions
"""

SET_STATE: Final = """
UPDATE lgs_thread
SET "values" = :values, interrupts = :interrupts, rest = :rest, error = NULL, state_updated_at = :now,
    pin = CASE WHEN rest = 'interrupted' AND :rest = 'interrupted' THEN pin END
WHERE thread_id = :thread_id
"""

INSERT_VERSION: Final = """
INSERT INTO lgs_version (thread_id, version, checkpoint_id, run_id, interrupts, description, metadata,
                         created_at, created_by)
VALUES (:thread_id, :version, :checkpoint_id, :run_id, :interrupts, :description, :metadata, :now,
        :created_by)
RETURNING *
"""

MARK_OVER_VERSION_LIMIT: Final = "INSERT OR IGNORE INTO lgs_crowded_thread (thread_id) VALUES (:thread_id)"

THREADS_OVER_VERSION_LIMIT: Final = "SELECT thread_id FROM lgs_crowded_thread LIMIT 1000"

KEPT_VERSIONS: Final = """
SELECT min(version) AS version, min(checkpoint_id) AS checkpoint_id FROM (
    SELECT version, checkpoint_id FROM lgs_version WHERE thread_id = :thread_id
    ORDER BY version DESC LIMIT :keep)
"""

PRUNE_VERSIONS: Final = "DELETE FROM lgs_version WHERE thread_id = :thread_id AND version < :version"

FORGET_OVER_VERSION_LIMIT: Final = """
DELETE FROM lgs_crowded_thread WHERE thread_id IN (SELECT value FROM json_each(:thread_ids))
"""
