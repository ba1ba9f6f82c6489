"""Statements that claim runs, hand them back, take them from lost replicas and cancel them.

Locks are taken in one order: thread before run, threads by id. `CLAIM` locks runs alone and never waits. The
thread's row holds what must be exact under concurrency (`unfinished`, `runs`): an UPDATE sees the newest
version of a row it waited for, a sub-select does not.
"""

from __future__ import annotations

from typing import Final

from lgs_runtime.storage.fairness import FIRST_TURN, LEAST_URGENT, MOST_URGENT
from lgs_runtime.storage.postgres.statements.conditions import (
    CLAIMABLE,
    CLAIMABLE_FEW,
    PIN_OF_ASKER,
    PIN_OF_RUN,
    asker,
    has,
    keeps,
    run_within,
    takes,
)

REMEMBERED_SECONDS: Final = 60.0
"""Seconds after the end of a replica's lease during which its graphs still count as served."""

SPARE: Final = 16
"""How many more runs of each level a claim reads than it needs."""

LOCK_THREADS: Final = """
SELECT thread_id FROM lgs_thread WHERE thread_id = ANY($1::text[]) ORDER BY thread_id FOR UPDATE
"""

LOCK_RUNS: Final = "SELECT FROM lgs_run WHERE run_id = ANY($1::text[]) FOR UPDATE"
"""Like `TO_BE_STOPPED`, for runs by their ids."""

CLAIM: Final = f"""
WITH asker AS MATERIALIZED (
    {asker("$1", "coalesce($3::text[], own.graphs)")}
), pinned AS MATERIALIZED (
    SELECT r.run_id FROM lgs_run r
    WHERE r.status = 'pending' AND r.pin = (SELECT revision FROM asker WHERE pinning = 'closed')
    UNION
    SELECT r.run_id FROM lgs_thread t JOIN lgs_run r ON r.thread_id = t.thread_id AND r.status = 'pending'
    WHERE t.pin = (SELECT revision FROM asker WHERE pinning = 'closed')
      AND t.rest = 'interrupted' AND t.unfinished > 0
), candidates AS (
    SELECT first.run_id, levels.level, first.turn, first.rank
    FROM generate_series({MOST_URGENT}, {LEAST_URGENT}) AS levels (level) CROSS JOIN LATERAL (
        SELECT r.run_id, r.turn, r.rank FROM lgs_run r
        WHERE r.level = levels.level AND {takes("r.graph_id", "r.thread_id")} AND {keeps(PIN_OF_RUN)}
          AND {CLAIMABLE_FEW}
        ORDER BY r.turn, r.rank LIMIT $2::integer + {SPARE}
    ) first
    WHERE EXISTS (SELECT FROM asker WHERE pinning IS DISTINCT FROM 'closed')
    UNION ALL
    SELECT r.run_id, r.level, r.turn, r.rank FROM pinned JOIN lgs_run r USING (run_id)
    WHERE {takes("r.graph_id", "r.thread_id")} AND {keeps(PIN_OF_RUN)} AND {CLAIMABLE_FEW}
), line AS MATERIALIZED (
    SELECT run_id, level, turn, rank,
           max(rank) OVER (PARTITION BY level ORDER BY turn, rank ROWS UNBOUNDED PRECEDING) AS held_up
    FROM candidates
), picked AS (
    SELECT locked.run_id
    FROM (SELECT run_id FROM line ORDER BY held_up, level, turn, rank) ordered CROSS JOIN LATERAL (
        SELECT r.run_id FROM lgs_run r WHERE r.run_id = ordered.run_id AND r.status = 'pending'
        FOR UPDATE SKIP LOCKED
    ) locked
    LIMIT $2::integer
), claimed AS (
    UPDATE lgs_run r
    SET status = 'running', claimed_by = $1, updated_at = now(), attempt = attempt + 1,
        claimed_at = greatest(now(), r.claimed_at + interval '1 millisecond'), pin = {PIN_OF_ASKER}
    FROM picked WHERE r.run_id = picked.run_id
    RETURNING r.*
)
SELECT claimed.*, seen FROM (SELECT count(*) AS seen FROM line) candidates LEFT JOIN claimed ON true
"""
"""`fairness.in_line` over the first runs of each level; it reads some more than are wanted, since other
replicas may be claiming the same. A replica that takes only what is pinned to its revision reads that, and
not the whole line. `seen`: how many candidates there were; if there were some, a claim that got too few is
tried again.

The unique index on running threads decides in the end: two claims that see a delayed run become due at
different moments can't both win, and the loser tries again. Ids of events begin with the time of the claim:
those of an attempt are later than those of the attempt before it, even when the clock was set back.
"""

RUNS_BY_ID: Final = f"SELECT * FROM lgs_run r WHERE run_id = ANY($1::text[]) AND {run_within('$2')}"

LOST_THREADS: Final = """
SELECT DISTINCT r.thread_id FROM lgs_run r
WHERE r.status = 'running' AND NOT EXISTS (
    SELECT FROM lgs_replica p
    WHERE p.replica = r.claimed_by AND (p.expires_at > now() OR p.replica = $1))
"""
"""$1: the asking replica. It is alive, though its lease may have run out while it stood still: its runs stay
its own."""

DELETE_LOST_REPLICAS: Final = """
DELETE FROM lgs_replica WHERE expires_at <= now() AND replica IS DISTINCT FROM $1
"""
"""Waits for a renewal under way and then sees it; a later renewal finds that the lease had run out."""

LOST_RUNS: Final = """
SELECT r.* FROM lgs_run r
WHERE r.thread_id = ANY($1::text[]) AND r.status = 'running'
  AND NOT EXISTS (SELECT FROM lgs_replica p WHERE p.replica = r.claimed_by)
FOR UPDATE OF r
"""

_FLEET: Final = f"""
WITH fleet AS MATERIALIZED (
    SELECT CASE WHEN count(*) = 0 OR bool_or(p.graphs IS NULL) THEN NULL
                ELSE coalesce(array_agg(DISTINCT has.graph) FILTER (WHERE has.graph IS NOT NULL), '{{}}')
           END AS graphs,
           CASE WHEN bool_or(p.pinning IS NOT NULL)
                THEN coalesce(array_agg(DISTINCT p.revision) FILTER (WHERE p.revision IS NOT NULL), '{{}}')
           END AS revisions
    FROM lgs_replica p LEFT JOIN LATERAL unnest(p.graphs) AS has (graph) ON true
    WHERE p.expires_at > now() - make_interval(secs => {REMEMBERED_SECONDS})
      AND p.pinning IS DISTINCT FROM 'closed'
)"""
"""The graphs and the revisions of the replicas that take new threads. `graphs` null: all; `revisions` null:
none of them takes account of pins."""

_ELSEWHERE: Final = f"""
    ((SELECT revisions FROM fleet) IS NOT NULL
     AND coalesce({PIN_OF_RUN} <> ALL((SELECT revisions FROM fleet)::text[]), false))
"""
"""Whether the run `r` is pinned to a revision that is none of theirs."""

UNSERVED: Final = f"""
{_FLEET}
SELECT r.* FROM lgs_run r
WHERE r.status = 'pending' AND r.graph_id = ANY($1::text[]) AND r.due_at <= now() - make_interval(secs => $2)
  AND ($3::text[] IS NULL OR r.thread_id = ANY($3))
  AND NOT EXISTS (
      SELECT FROM lgs_replica p
      WHERE p.expires_at > now() - make_interval(secs => {REMEMBERED_SECONDS})
        AND coalesce(r.graph_id = ANY(p.graphs), true)
        AND (p.pinning IS DISTINCT FROM 'closed' OR p.revision = {PIN_OF_RUN}))
  AND NOT {_ELSEWHERE}
ORDER BY r.seq LIMIT 100
"""
"""Waiting runs of graphs that no replica takes, judged as in `DEPTH`: not those that are pinned to a revision
whose replicas may come back. It runs twice: first to find the threads, then, when these are locked, to end
the runs."""

LEAVE: Final = "UPDATE lgs_replica SET leaving = true WHERE replica = $1"

JOIN: Final = "UPDATE lgs_replica SET leaving = false WHERE replica = $1"

TAKE_ONLY: Final = "UPDATE lgs_replica SET graphs = $2::text[] WHERE replica = $1"

HELD_BY: Final = "SELECT * FROM lgs_run WHERE claimed_by = $1 AND status = 'running'"

OWN_RUNS: Final = """
SELECT r.* FROM lgs_run r
JOIN unnest($1::text[], $2::integer[]) AS own (run_id, attempt) USING (run_id, attempt)
WHERE r.status = 'running' AND r.claimed_by = $3
FOR UPDATE OF r
"""

WAIT_AGAIN: Final = f"""
UPDATE lgs_run
SET status = 'pending', claimed_by = NULL, updated_at = now(), attempt = attempt - $2::integer,
    rank = rank - $3::float8, turn = CASE WHEN $3::float8 > 0 THEN {FIRST_TURN} ELSE turn END
WHERE run_id = ANY($1::text[])
"""

# $1 runs; $2 status; $3 errors, one per run (or null); $4 what the thread becomes (null: what it was)
END_RUNS: Final = """
WITH ended AS (
    UPDATE lgs_run r
    SET status = $2, error = e.error, claimed_by = NULL, ended_at = now(), updated_at = now()
    FROM unnest($1::text[], $3::text[]) AS e (run_id, error)
    WHERE r.run_id = e.run_id AND r.status IN ('pending', 'running')
    RETURNING r.run_id, r.thread_id, r.error, r.webhook
), webhook AS (
    INSERT INTO lgs_webhook (run_id, url) SELECT run_id, webhook FROM ended WHERE webhook IS NOT NULL
)
UPDATE lgs_thread t
SET unfinished = t.unfinished - e.runs, rest = coalesce($4, t.rest), error = coalesce(e.error, t.error),
    pin = CASE WHEN $4 IS NULL THEN t.pin END, updated_at = now()
FROM (SELECT thread_id, count(*) AS runs, max(error) AS error FROM ended GROUP BY thread_id) e
WHERE t.thread_id = e.thread_id
"""

DELETE_RUNS: Final = """
WITH deleted AS (
    DELETE FROM lgs_run WHERE run_id = ANY($1::text[]) AND status IN ('pending', 'running')
    RETURNING thread_id
)
UPDATE lgs_thread t SET unfinished = t.unfinished - d.runs, updated_at = now()
FROM (SELECT thread_id, count(*) AS runs FROM deleted GROUP BY thread_id) d
WHERE t.thread_id = d.thread_id
"""

DROP_ORPHANED_THREADS: Final = """
WITH dropped AS (
    DELETE FROM lgs_thread WHERE thread_id = ANY($1::text[]) AND unfinished = 0 RETURNING thread_id
)
INSERT INTO lgs_spent_thread (thread_id) SELECT thread_id FROM dropped ON CONFLICT DO NOTHING
"""

ASK_TO_STOP: Final = """
UPDATE lgs_run
SET cancel_requested = CASE WHEN cancel_requested = 'rollback' THEN 'rollback' ELSE $2 END, updated_at = now()
WHERE run_id = ANY($1::text[]) AND status IN ('pending', 'running')
"""

TAKEN_BY_ANY: Final = "SELECT FROM lgs_replica WHERE expires_at > now() AND $1 = ANY(graphs) LIMIT 1"

DEPTH: Final = f"""
{_FLEET}
SELECT r.priority, c.unserved,
       count(*) FILTER (WHERE c.now) AS waiting, count(*) FILTER (WHERE NOT c.now) AS blocked,
       coalesce(extract(epoch FROM now() - min(r.due_at) FILTER (WHERE c.now)), 0)::float8 AS oldest,
       extract(epoch FROM min(r.due_at) FILTER (WHERE r.due_at > now()) - now())::float8 AS next_due
FROM lgs_run r CROSS JOIN LATERAL (
    SELECT {_ELSEWHERE} AS elsewhere
) pinned CROSS JOIN LATERAL (
    SELECT NOT pinned.elsewhere AND {CLAIMABLE} AS now,
           CASE WHEN NOT pinned.elsewhere AND NOT {has("r.graph_id", "SELECT graphs FROM fleet")}
                THEN r.graph_id END AS unserved
) c
WHERE r.status = 'pending' GROUP BY r.priority, c.unserved
UNION ALL
SELECT NULL, NULL, 0, 0, 0, extract(epoch FROM min(next_run_date) - now())::float8
FROM lgs_cron WHERE enabled AND next_run_date > now()
"""
"""`unserved`: the graph, if no replica takes it; null when there is no replica at all. A replica whose lease
ran out a moment ago still counts, as it may be back at once. What is pinned to a revision that only `closed`
replicas run, or none, is blocked: others would not help it. The row without a priority is that of the
crons."""
