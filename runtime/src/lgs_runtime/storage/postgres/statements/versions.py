"""Statements on the versions of threads."""

from __future__ import annotations

from typing import Final

VERSIONS: Final = """
SELECT * FROM lgs_version WHERE thread_id = $1 AND ($2::jsonb IS NULL OR metadata @> $2)
ORDER BY version DESC LIMIT $3 OFFSET $4
"""

VERSION: Final = "SELECT * FROM lgs_version WHERE thread_id = $1 AND version = $2"

DESCRIBE_VERSION: Final = """
WITH changed AS (
    UPDATE lgs_version SET description = coalesce($3, description), metadata = metadata || $4
    WHERE thread_id = $1 AND version = $2 RETURNING *
), audit AS (
    INSERT INTO lgs_audit (thread_id, who, what, details)
    SELECT thread_id, $5, 'version.described', jsonb_build_object('version', version) FROM changed
)
SELECT * FROM changed
"""

LOCK_THREAD: Final = "SELECT unfinished FROM lgs_thread WHERE thread_id = $1 FOR UPDATE"

# $1 thread $2 checkpoint $3 interrupts $4 description $5 metadata $6 who
# $7 values (or null: the record stays) $8 thread rest $9 versions that a thread keeps
ADD_VERSION: Final = """
WITH thread AS (
    UPDATE lgs_thread
    SET versions = versions + 1, updated_at = now(), values = coalesce($7::jsonb, values),
        interrupts = CASE WHEN $7::jsonb IS NULL THEN interrupts ELSE $3::jsonb END,
        rest = CASE WHEN $7::jsonb IS NULL THEN rest ELSE $8 END,
        pin = CASE WHEN $7::jsonb IS NULL OR (rest = 'interrupted' AND $8 = 'interrupted') THEN pin END,
        error = CASE WHEN $7::jsonb IS NULL THEN error END,
        state_updated_at = CASE WHEN $7::jsonb IS NULL THEN state_updated_at ELSE now() END
    WHERE thread_id = $1 RETURNING versions
), crowd AS (
    INSERT INTO lgs_crowded_thread (thread_id) SELECT $1 FROM thread WHERE versions > $9::bigint
    ON CONFLICT DO NOTHING
)
INSERT INTO lgs_version (thread_id, version, checkpoint_id, interrupts, description, metadata, created_by)
SELECT $1, versions, $2, $3::jsonb, $4, $5::jsonb, $6 FROM thread
RETURNING *
"""

THREADS_OVER_VERSION_LIMIT: Final = "SELECT thread_id FROM lgs_crowded_thread LIMIT 1000"

PRUNE_VERSIONS: Final = """
WITH kept AS (
    SELECT version, checkpoint_id FROM lgs_version WHERE thread_id = $1 ORDER BY version DESC LIMIT $2
), pruned AS (
    DELETE FROM lgs_version WHERE thread_id = $1 AND version < (SELECT min(version) FROM kept) RETURNING 1
)
SELECT (SELECT count(*) FROM pruned) AS deleted, (SELECT min(checkpoint_id COLLATE "C") FROM kept) AS oldest
"""

FORGET_OVER_VERSION_LIMIT: Final = "DELETE FROM lgs_crowded_thread WHERE thread_id = ANY($1::text[])"
