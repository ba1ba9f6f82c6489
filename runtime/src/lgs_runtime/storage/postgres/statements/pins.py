"""Statements that count what is pinned to revisions, and free it. They run under `LOCK`, one look at a
time."""

from __future__ import annotations

from typing import Final

from lgs_runtime.storage.pins import MOST_ABSENT_SECONDS, MOST_MOVED
from lgs_runtime.storage.postgres.statements.conditions import PIN_OF_RUN

COUNTED: Final = """
SELECT revision, threads, runs FROM lgs_revision
WHERE (SELECT max(seen_at) FROM lgs_revision) > now() - make_interval(secs => $1)
  AND (SELECT max(seen_at) FROM lgs_revision) <= clock_timestamp()
ORDER BY revision
"""
"""The last count, if it is younger than $1 seconds. One from before the clock was set back is not."""

LOCK: Final = "LOCK TABLE lgs_revision IN SHARE ROW EXCLUSIVE MODE"
"""Others may read meanwhile, and none may look as well."""

COUNT: Final = f"""
WITH waiting AS (
    SELECT pin AS revision, count(*) AS threads FROM lgs_thread
    WHERE pin IS NOT NULL AND rest = 'interrupted' GROUP BY pin
), unfinished AS (
    SELECT revision, count(*) AS runs FROM (
        SELECT {PIN_OF_RUN} AS revision FROM lgs_run r WHERE r.status = 'pending'
        UNION ALL SELECT {PIN_OF_RUN} FROM lgs_run r WHERE r.status = 'running'
    ) pinned
    WHERE revision IS NOT NULL GROUP BY revision
), there AS (
    SELECT revision FROM lgs_replica
    WHERE pinning IS NOT NULL AND revision IS NOT NULL AND expires_at > now()
    UNION SELECT $1::text WHERE $1::text IS NOT NULL
), known AS (
    SELECT revision, coalesce(waiting.threads, 0) AS threads, coalesce(unfinished.runs, 0) AS runs,
           revision IN (SELECT revision FROM there) AS is_there
    FROM waiting FULL JOIN unfinished USING (revision) FULL JOIN there USING (revision)
    FULL JOIN (SELECT revision FROM lgs_revision) before USING (revision)
)
INSERT INTO lgs_revision AS r (revision, threads, runs, absent_seconds, seen_at)
SELECT revision, threads, runs, 0, clock_timestamp() FROM known
ON CONFLICT (revision) DO UPDATE
SET threads = excluded.threads, runs = excluded.runs, seen_at = excluded.seen_at,
    absent_seconds = CASE
        WHEN (SELECT is_there FROM known k WHERE k.revision = r.revision) THEN 0
        ELSE r.absent_seconds + least(
            greatest(extract(epoch FROM excluded.seen_at - r.seen_at)::float8, 0), {MOST_ABSENT_SECONDS})
    END
RETURNING revision, threads, runs, absent_seconds,
    (SELECT is_there FROM known k WHERE k.revision = r.revision) AS is_there
"""
"""`absent_seconds` as in `pins.absence`. $1: a revision that is there, or null."""

FORGET: Final = "DELETE FROM lgs_revision WHERE revision = ANY($1::text[])"

LOCK_PINNED: Final = f"""
SELECT thread_id, pin, rest = 'interrupted' AS waits FROM lgs_thread WHERE pin = ANY($1::text[])
ORDER BY thread_id LIMIT {MOST_MOVED} FOR UPDATE
"""

FREE_THREADS: Final = "UPDATE lgs_thread SET pin = NULL WHERE thread_id = ANY($1::text[])"

FREE_RUNS: Final = f"""
WITH picked AS (
    SELECT run_id, pin FROM lgs_run WHERE status = 'pending' AND pin = ANY($1::text[])
    ORDER BY run_id LIMIT {MOST_MOVED} FOR UPDATE SKIP LOCKED
)
UPDATE lgs_run r SET pin = NULL FROM picked WHERE r.run_id = picked.run_id RETURNING picked.pin
"""
"""It has not locked their threads, as all others have who wait for a run: so it waits for none."""
