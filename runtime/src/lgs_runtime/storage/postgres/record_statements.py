"""Every statement of the PostgreSQL records, by name. `{order}` is filled from a fixed list of columns."""

from __future__ import annotations

from typing import Final

_FIELDS: Final = (
    "assistant_id, version, graph_id, name, description, config, context, metadata, created_at, updated_at"
)


def within(parameter: int, column: str = "metadata") -> str:
    """Whether a record is within the scope in `$parameter`."""
    return f"(${parameter}::jsonb[] IS NULL OR {column} @> ANY(${parameter}))"


CREATE_ASSISTANT: Final = f"""
WITH made AS (
    INSERT INTO lgs_assistant ({_FIELDS}) VALUES ($1, 1, $2, $3, $4, $5, $6, $7, now(), now())
    ON CONFLICT DO NOTHING RETURNING *
), kept AS (
    INSERT INTO lgs_assistant_version ({_FIELDS}) SELECT {_FIELDS} FROM made
)
SELECT * FROM made
"""

ASSISTANT: Final = f"""
SELECT * FROM lgs_assistant WHERE assistant_id = $1 AND {within(2)}
"""

LOCK_ASSISTANT: Final = f"""
SELECT * FROM lgs_assistant WHERE assistant_id = $1 AND {within(2)} FOR UPDATE
"""

NEWEST_VERSION: Final = "SELECT max(version) FROM lgs_assistant_version WHERE assistant_id = $1"

ADD_VERSION: Final = f"""
WITH made AS (
    UPDATE lgs_assistant
    SET version = $2, graph_id = $3, name = $4, description = $5, config = $6, context = $7, metadata = $8,
        updated_at = now()
    WHERE assistant_id = $1 RETURNING *
), kept AS (
    INSERT INTO lgs_assistant_version ({_FIELDS}) SELECT {_FIELDS.replace("created_at", "now()")} FROM made
)
SELECT * FROM made
"""

VERSIONS: Final = f"""
SELECT v.* FROM lgs_assistant_version v JOIN lgs_assistant a USING (assistant_id)
WHERE assistant_id = $1 AND ($2::jsonb IS NULL OR v.metadata @> $2)
  AND {within(5, "a.metadata")} AND {within(5, "v.metadata")}
ORDER BY v.version DESC LIMIT $3 OFFSET $4
"""

SET_LATEST: Final = f"""
UPDATE lgs_assistant a
SET version = v.version, graph_id = v.graph_id, name = v.name, description = v.description, config = v.config,
    context = v.context, metadata = v.metadata, updated_at = now()
FROM lgs_assistant_version v
WHERE a.assistant_id = $1 AND v.assistant_id = $1 AND v.version = $2
  AND {within(3, "a.metadata")} AND {within(3, "v.metadata")}
RETURNING a.*
"""

DELETE_ASSISTANT: Final = f"""
DELETE FROM lgs_assistant WHERE assistant_id = $1 AND {within(2)}
RETURNING assistant_id
"""

THREADS_OF_ASSISTANT: Final = f"""
SELECT thread_id FROM lgs_thread
WHERE metadata @> jsonb_build_object('assistant_id', $1::text) AND {within(2)}
"""

_ASSISTANTS: Final = f"""
FROM lgs_assistant
WHERE ($1::text IS NULL OR graph_id = $1)
  AND ($2::text IS NULL OR strpos(lower(name), lower($2)) > 0)
  AND ($3::jsonb IS NULL OR metadata @> $3)
  AND {within(4)}
"""

ASSISTANTS: Final = f"SELECT * {_ASSISTANTS} ORDER BY {{order}}, assistant_id LIMIT $5 OFFSET $6"

COUNT_ASSISTANTS: Final = f"SELECT count(*) {_ASSISTANTS}"

CREATE_THREAD: Final = """
INSERT INTO lgs_thread (thread_id, metadata, ttl_seconds, ttl_strategy, created_by)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING RETURNING *
"""

THREAD: Final = f"""
SELECT * FROM lgs_thread WHERE thread_id = $1 AND {within(2)}
"""

UPDATE_THREAD: Final = """
WITH changed AS (
    UPDATE lgs_thread
    SET metadata = metadata || $2::jsonb, ttl_seconds = coalesce($3::float8, ttl_seconds),
        ttl_strategy = CASE WHEN $3 IS NULL THEN ttl_strategy ELSE $7 END, updated_at = now()
    WHERE thread_id = $1
      AND ($4::jsonb[] IS NULL OR (metadata @> ANY($4) AND (metadata || $2::jsonb) @> ANY($4)))
    RETURNING *
), audit AS (
    INSERT INTO lgs_audit (thread_id, who, what, details)
    SELECT thread_id, $5, 'thread.updated', jsonb_build_object('metadata', $6::text[]) FROM changed
)
SELECT * FROM changed
"""

SET_THREAD_STATE: Final = """
WITH changed AS (
    UPDATE lgs_thread
    SET values = $2, interrupts = $3, rest = $4, error = NULL, updated_at = now(), state_updated_at = now()
    WHERE thread_id = $1 RETURNING *
), audit AS (
    INSERT INTO lgs_audit (thread_id, who, what, details)
    SELECT thread_id, $5, 'state.updated', jsonb_build_object('status', rest) FROM changed
)
SELECT * FROM changed
"""

LOCK_THREAD: Final = f"""
SELECT thread_id FROM lgs_thread WHERE thread_id = $1 AND {within(2)} FOR UPDATE
"""

DELETE_RUNS_OF_THREAD: Final = "DELETE FROM lgs_run WHERE thread_id = $1 RETURNING run_id, status"

DELETE_THREAD: Final = """
WITH versions AS (
    DELETE FROM lgs_version WHERE thread_id = $1
), crowd AS (
    DELETE FROM lgs_crowded_thread WHERE thread_id = $1
)
DELETE FROM lgs_thread WHERE thread_id = $1
"""

COPY_THREAD: Final = f"""
WITH versions AS (
    INSERT INTO lgs_version (thread_id, version, checkpoint_id, run_id, description, metadata, interrupts,
                             created_at, created_by)
    SELECT $2, version, checkpoint_id, run_id, description, metadata, interrupts, created_at, created_by
    FROM lgs_version WHERE thread_id = $1
      AND EXISTS (SELECT FROM lgs_thread WHERE thread_id = $1 AND {within(5)})
), made AS (
    INSERT INTO lgs_thread (thread_id, metadata, config, values, interrupts, rest, versions, created_by,
                            ttl_seconds, ttl_strategy)
    SELECT $2, coalesce($4::jsonb, metadata), config, values, '{{}}', 'idle', versions, $3, $6, $7
    FROM lgs_thread
    WHERE thread_id = $1 AND {within(5)}
    RETURNING *
), audit AS (
    INSERT INTO lgs_audit (thread_id, who, what, details)
    SELECT thread_id, $3, 'thread.copied', jsonb_build_object('from', $1::text) FROM made
)
SELECT * FROM made
"""

_THREADS: Final = f"""
FROM lgs_thread
WHERE ($1::text[] IS NULL OR thread_id = ANY($1))
  AND ($2::jsonb IS NULL OR metadata @> $2)
  AND ($3::jsonb IS NULL OR values @> $3)
  AND ($4::text IS NULL OR status = $4)
  AND {within(5)}
"""

THREADS: Final = f"SELECT * {_THREADS} ORDER BY {{order}}, thread_id LIMIT $6 OFFSET $7"

COUNT_THREADS: Final = f"SELECT count(*) {_THREADS}"

_OVER: Final = """
ttl_seconds IS NOT NULL AND unfinished = 0
AND greatest(updated_at, ttl_from) + make_interval(secs => ttl_seconds) < now()
"""

MORTAL_THREADS: Final = f"""
SELECT thread_id FROM lgs_thread WHERE {_OVER} AND ttl_strategy IS DISTINCT FROM 'keep_latest' LIMIT $1
"""

STALE_THREADS: Final = f"""
SELECT * FROM lgs_thread
WHERE {_OVER} AND ttl_strategy = 'keep_latest' AND thinned_at IS DISTINCT FROM updated_at LIMIT $1
"""

NOTE_PRUNED: Final = """
UPDATE lgs_thread SET thinned_at = updated_at WHERE thread_id = $1 AND updated_at = $2
"""

EXPIRE_THREAD: Final = f"""
WITH gone AS (
    DELETE FROM lgs_thread
    WHERE thread_id = $1 AND {_OVER} AND ttl_strategy IS DISTINCT FROM 'keep_latest'
    RETURNING thread_id, created_at, created_by
), audit AS (
    INSERT INTO lgs_audit (thread_id, at, who, what, details)
    SELECT thread_id, created_at, created_by, 'thread.created', '{{}}'::jsonb FROM gone
    UNION ALL SELECT thread_id, now(), NULL, 'thread.deleted', '{{"reason": "ttl"}}' FROM gone
), runs AS (
    DELETE FROM lgs_run r USING gone WHERE r.thread_id = gone.thread_id
), versions AS (
    DELETE FROM lgs_version v USING gone WHERE v.thread_id = gone.thread_id
), crowd AS (
    DELETE FROM lgs_crowded_thread c USING gone WHERE c.thread_id = gone.thread_id
)
SELECT thread_id FROM gone
"""
