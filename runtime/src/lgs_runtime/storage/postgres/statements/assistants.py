"""Statements on assistants and their versions. `{order}` is filled from a fixed list of columns."""

from __future__ import annotations

from typing import Final

from lgs_runtime.storage.postgres.statements.conditions import within

_FIELDS: Final = (
    "assistant_id, version, graph_id, name, description, config, context, metadata, created_at, updated_at"
)

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
WITH gone AS (
    DELETE FROM lgs_assistant WHERE assistant_id = $1 AND {within(2)} RETURNING assistant_id
), crons AS (
    DELETE FROM lgs_cron c USING gone WHERE c.assistant_id = gone.assistant_id
)
SELECT assistant_id FROM gone
"""

AWAIT_ARRIVALS: Final = """
DO $$ BEGIN
    SET LOCAL lock_timeout = '1s';
    LOCK TABLE lgs_run IN SHARE MODE;
EXCEPTION WHEN lock_not_available THEN
    -- Whoever writes runs for so long is something else than one that comes.
END $$
"""
"""Waits until every transaction that was writing runs has ended, and gets the lock then. Other writers wait
meanwhile, for a second at most."""

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
