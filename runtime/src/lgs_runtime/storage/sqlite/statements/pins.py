"""Statements that count what is pinned to revisions, and free it."""

from __future__ import annotations

from typing import Final

from lgs_runtime.storage.pins import MOST_MOVED
from lgs_runtime.storage.sqlite.statements.conditions import HOLDS, PIN_OF_RUN

KNOWN: Final = "SELECT revision, threads, runs, absent_seconds, seen_at FROM lgs_revision ORDER BY revision"

WAITING: Final = """
SELECT pin AS revision, count(*) AS pinned FROM lgs_thread
WHERE pin IS NOT NULL AND rest = 'interrupted' GROUP BY pin
"""

UNFINISHED: Final = f"""
SELECT {PIN_OF_RUN} AS revision, count(*) AS pinned FROM lgs_run r
WHERE r.status IN ('pending', 'running') GROUP BY 1 HAVING revision IS NOT NULL
"""

THERE: Final = f"""
SELECT DISTINCT revision FROM lgs_replica p
WHERE pinning IS NOT NULL AND revision IS NOT NULL AND {HOLDS}
"""

NOTE: Final = """
INSERT INTO lgs_revision (revision, threads, runs, absent_seconds, seen_at)
VALUES (:revision, :threads, :runs, :absent_seconds, :now)
ON CONFLICT (revision) DO UPDATE
SET threads = excluded.threads, runs = excluded.runs, absent_seconds = excluded.absent_seconds,
    seen_at = excluded.seen_at
"""

FORGET: Final = "DELETE FROM lgs_revision WHERE revision = :revision"

FREE_THREADS: Final = f"""
UPDATE lgs_thread SET pin = NULL
WHERE thread_id IN (SELECT thread_id FROM lgs_thread WHERE pin = :revision LIMIT {MOST_MOVED})
RETURNING rest
"""

FREE_RUNS: Final = f"""
UPDATE lgs_run SET pin = NULL
WHERE run_id IN (SELECT run_id FROM lgs_run WHERE status = 'pending' AND pin = :revision LIMIT {MOST_MOVED})
RETURNING run_id
"""
