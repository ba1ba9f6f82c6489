"""Statements on crons. `{order}` is filled from a fixed list of columns."""

from __future__ import annotations

from typing import Final

from lgs_runtime.storage.postgres.statements.conditions import within

CREATE: Final = """
INSERT INTO lgs_cron (cron_id, assistant_id, thread_id, schedule, timezone, payload, metadata,
                      on_run_completed, end_time, enabled, next_run_date, caller)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING *
"""

CRON: Final = f"""
SELECT * FROM lgs_cron WHERE cron_id = $1 AND {within(2)}
"""

LOCK_CRON: Final = f"{CRON} FOR UPDATE"

UPDATE: Final = """
UPDATE lgs_cron
SET schedule = $2, timezone = $3, payload = $4, metadata = $5, on_run_completed = $6, end_time = $7,
    enabled = $8, next_run_date = $9, caller = $10, updated_at = now()
WHERE cron_id = $1 RETURNING *
"""

DELETE: Final = f"""
DELETE FROM lgs_cron WHERE cron_id = $1 AND {within(2)} RETURNING cron_id
"""

_CRONS: Final = f"""
FROM lgs_cron
WHERE ($1::text IS NULL OR assistant_id = $1) AND ($2::text IS NULL OR thread_id = $2)
  AND ($3::boolean IS NULL OR enabled = $3) AND ($4::jsonb IS NULL OR metadata @> $4)
  AND {within(5)}
"""

CRONS: Final = f"SELECT * {_CRONS} ORDER BY {{order}}, cron_id LIMIT $6 OFFSET $7"

COUNT: Final = f"SELECT count(*) {_CRONS}"

# Crons that nobody has held come first: one that waits for a budget or room in the queue must not hold up
# others.
CLAIM: Final = """
WITH picked AS (
    SELECT cron_id FROM lgs_cron
    WHERE enabled AND next_run_date <= now() AND held_until <= now()
    ORDER BY held_until, next_run_date LIMIT $1 FOR UPDATE SKIP LOCKED
)
UPDATE lgs_cron c SET held_until = now() + make_interval(secs => $2::float8)
FROM picked WHERE c.cron_id = picked.cron_id RETURNING c.*
"""

ADVANCE: Final = """
UPDATE lgs_cron SET next_run_date = $3, held_until = '-infinity'
WHERE cron_id = $1 AND next_run_date = $2 RETURNING cron_id
"""
