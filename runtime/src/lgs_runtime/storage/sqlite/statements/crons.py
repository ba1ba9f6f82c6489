"""Statements on crons. `{order}` is filled from a fixed list of columns."""

from __future__ import annotations

from typing import Final

from lgs_runtime.storage.sqlite.statements.conditions import within

CREATE: Final = """
INSERT INTO lgs_cron (cron_id, assistant_id, thread_id, schedule, timezone, payload, metadata,
                      on_run_completed, end_time, enabled, next_run_date, caller, created_at, updated_at)
VALUES (:cron_id, :assistant_id, :thread_id, :schedule, :timezone, :payload, :metadata, :on_run_completed,
        :end_time, :enabled, :next_run_date, :caller, :now, :now)
RETURNING *
"""

CRON: Final = f"SELECT * FROM lgs_cron WHERE cron_id = :cron_id AND {within()}"

UPDATE: Final = """
UPDATE lgs_cron
SET schedule = :schedule, timezone = :timezone, payload = :payload, metadata = :metadata,
    on_run_completed = :on_run_completed, end_time = :end_time, enabled = :enabled,
    next_run_date = :next_run_date, caller = :caller, updated_at = :now
WHERE cron_id = :cron_id RETURNING *
"""

DELETE: Final = f"""
DELETE FROM lgs_cron WHERE cron_id = :cron_id AND {within()} RETURNING cron_id
"""

_CRONS: Final = f"""
FROM lgs_cron
WHERE (:assistant_id IS NULL OR assistant_id = :assistant_id)
  AND (:thread_id IS NULL OR thread_id = :thread_id) AND (:enabled IS NULL OR enabled = :enabled)
  AND (:metadata IS NULL OR lgs_contains(metadata, :metadata))
  AND {within()}
"""

CRONS: Final = f"SELECT * {_CRONS} ORDER BY {{order}}, cron_id LIMIT :limit OFFSET :offset"

COUNT: Final = f"SELECT count(*) {_CRONS}"

_DUE: Final = "enabled AND next_run_date <= :now AND held_until <= :now"

ANY_DUE: Final = f"SELECT 1 FROM lgs_cron WHERE {_DUE} LIMIT 1"

# Crons that nobody has held come first: one that waits for a budget or room in the queue must not hold up
# others.
CLAIM: Final = f"""
UPDATE lgs_cron SET held_until = :now + :hold
WHERE cron_id IN (SELECT cron_id FROM lgs_cron WHERE {_DUE} ORDER BY held_until, next_run_date LIMIT :limit)
RETURNING *
"""

ADVANCE: Final = """
UPDATE lgs_cron SET next_run_date = :following, held_until = 0
WHERE cron_id = :cron_id AND abs(next_run_date - :due) < 0.000001 RETURNING cron_id
"""
