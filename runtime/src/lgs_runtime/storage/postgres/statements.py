"""The statements of the PostgreSQL queue, by name. Those that every run takes, for many runs at once, are in
`run_statements.py`, those of records in `record_statements.py`.

Locks are taken in one order: thread before run, threads by id. `claim` locks runs alone and never waits. The
thread's row carries what must be exact under concurrency (`unfinished`, `runs`): an UPDATE sees the newest
version of a row it waited for, a sub-select does not.
"""

from __future__ import annotations

from typing import Final

from lgs_runtime.storage.fairness import FIRST_TURN, LEAST_URGENT, MOST_URGENT

REMEMBERED_SECONDS: Final = 60.0
"""So long after its lease the graphs of a replica are taken for served."""
SPARE: Final = 16
"""How many more runs of each level a claim looks at than it wants."""


def _within(scope: str) -> str:
    """Whether the run `r` is within the scope in parameter `scope`: its thread is, or was when it lived."""
    return f"""({scope}::jsonb[] IS NULL OR coalesce(
        (SELECT t.metadata FROM lgs_thread t WHERE t.thread_id = r.thread_id), r.thread_metadata
    ) @> ANY({scope}))"""


_CONDITION: Final = """
    r.status = 'pending' AND r.due_at <= now()
    AND NOT EXISTS (SELECT FROM lgs_run o WHERE o.thread_id = r.thread_id AND o.status = 'running' {hint})
    AND NOT EXISTS (SELECT FROM lgs_run o WHERE o.thread_id = r.thread_id AND o.status = 'pending'
                    AND o.seq < r.seq AND o.due_at <= now() {hint})
"""
CLAIMABLE: Final = _CONDITION.format(hint="")
_CLAIMABLE_FEW: Final = _CONDITION.format(hint="OFFSET 0")
"""Where few runs are looked at: OFFSET keeps the planner from joining all that run or wait, for a few."""

CREATE_THREAD_FOR_RUN: Final = """
INSERT INTO lgs_thread (thread_id, metadata, created_by, ttl_seconds, ttl_strategy)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING
"""

THREAD_WITHIN: Final = """
SELECT EXISTS (SELECT FROM lgs_thread WHERE thread_id = $1 AND ($2::jsonb[] IS NULL OR metadata @> ANY($2)))
"""

ASSISTANT_AS_OF: Final = "SELECT updated_at FROM lgs_assistant WHERE assistant_id = $1"

LOCK_THREADS: Final = """
SELECT thread_id FROM lgs_thread WHERE thread_id = ANY($1::text[]) ORDER BY thread_id FOR UPDATE
"""

UNFINISHED: Final = """
SELECT run_id, status, attempt, turn, cancel_requested FROM lgs_run
WHERE thread_id = $1 AND status IN ('pending', 'running') ORDER BY seq
"""

TO_BE_STOPPED: Final = f"{UNFINISHED} FOR UPDATE"
"""Claims do not lock threads: a run that waits must still wait when it is ended or deleted as such."""


LOCK_RUNS: Final = "SELECT FROM lgs_run WHERE run_id = ANY($1::text[]) FOR UPDATE"
"""As `TO_BE_STOPPED`, of runs by their ids."""


def has(graph: str, graphs: str) -> str:
    """Whether a graph is among those that a replica has; also where one of them is not known. In this form
    the planner takes it to be true as a rule, and goes by the order of the line."""
    return f"coalesce({graph} = ANY(({graphs})::text[]), true)"


MAY_CLAIM: Final = f"""
WITH asker AS MATERIALIZED (SELECT graphs FROM lgs_replica WHERE replica = $1 AND expires_at > now())
SELECT EXISTS (SELECT FROM asker WHERE {has("$3::text", "graphs")})
   AND NOT EXISTS (SELECT FROM lgs_run r WHERE r.rank < extract(epoch FROM now()) + $2::float8
                   AND {has("r.graph_id", "SELECT graphs FROM asker")} AND {CLAIMABLE})
"""
"""Runs that the asking replica can't take are not before any of its own."""

LOCK_PRIORITY: Final = "SELECT pg_advisory_xact_lock(hashtext('lgs_queue'), $1::integer)"

COUNT_WAITING: Final = "SELECT count(*) FROM lgs_run WHERE status = 'pending' AND priority = $1::smallint"

CLAIM: Final = f"""
WITH asker AS MATERIALIZED (
    SELECT coalesce($3::text[], graphs) AS graphs FROM lgs_replica WHERE replica = $1 AND expires_at > now()
), line AS MATERIALIZED (
    SELECT run_id, level, turn, rank,
           max(rank) OVER (PARTITION BY level ORDER BY turn, rank ROWS UNBOUNDED PRECEDING) AS held_up
    FROM generate_series({MOST_URGENT}, {LEAST_URGENT}) AS levels (level) CROSS JOIN LATERAL (
        SELECT r.run_id, r.turn, r.rank FROM lgs_run r
        WHERE r.level = levels.level AND {has("r.graph_id", "SELECT graphs FROM asker")} AND {_CLAIMABLE_FEW}
        ORDER BY r.turn, r.rank LIMIT $2::integer + {SPARE}
    ) first
    WHERE EXISTS (SELECT FROM asker)
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
        claimed_at = greatest(now(), r.claimed_at + interval '1 millisecond')
    FROM picked WHERE r.run_id = picked.run_id
    RETURNING r.*
)
SELECT claimed.*, seen FROM (SELECT count(*) AS seen FROM line) look LEFT JOIN claimed ON true
"""
"""`fairness.in_line`, of the first of each level; some more of them than are wanted, since others may be
claiming those. `seen` tells whether there were any: then a claim that got too few is tried again. The unique
index on running threads is the last word: two claims that see a delayed run become due at different moments
can't both win, and the loser tries again. Ids of events begin with the time of the claim: those of an attempt
are later than those of the one before it, also when the clock was set back."""

RUNS_BY_ID: Final = f"SELECT * FROM lgs_run r WHERE run_id = ANY($1::text[]) AND {_within('$2')}"

LOST_THREADS: Final = """
SELECT DISTINCT r.thread_id FROM lgs_run r
WHERE r.status = 'running' AND NOT EXISTS (
    SELECT FROM lgs_replica p
    WHERE p.replica = r.claimed_by AND (p.expires_at > now() OR p.replica = $1))
"""
"""$1: who asks. It lives, though its lease may have run out while it stood still: its runs are its own."""

BURY_REPLICAS: Final = """
DELETE FROM lgs_replica WHERE expires_at <= now() AND replica IS DISTINCT FROM $1
"""
"""Waits for a renewal under way and then sees it; whoever renews after it finds that the lease had run
out."""

LOST_RUNS: Final = """
SELECT r.* FROM lgs_run r
WHERE r.thread_id = ANY($1::text[]) AND r.status = 'running'
  AND NOT EXISTS (SELECT FROM lgs_replica p WHERE p.replica = r.claimed_by)
FOR UPDATE OF r
"""

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

# $1 runs $2 status $3 errors, one a run (or null) $4 what the thread becomes (null: what it was)
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
    updated_at = now()
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

DROP_SPENT_THREADS: Final = """
WITH dropped AS (
    DELETE FROM lgs_thread WHERE thread_id = ANY($1::text[]) AND unfinished = 0 RETURNING thread_id
)
INSERT INTO lgs_spent_thread (thread_id) SELECT thread_id FROM dropped ON CONFLICT DO NOTHING
"""

CLAIM_WEBHOOKS: Final = """
WITH picked AS (
    SELECT run_id FROM lgs_webhook WHERE due_at <= now() ORDER BY due_at LIMIT $1
    FOR UPDATE SKIP LOCKED
)
UPDATE lgs_webhook w
SET attempts = attempts + 1,
    due_at = now() + make_interval(secs => least($2::float8 * (1 << least(attempts, 20)), $3::float8))
FROM picked JOIN lgs_run r USING (run_id)
WHERE w.run_id = picked.run_id
RETURNING r.*, w.url AS webhook_url, w.values AS webhook_values, w.attempts AS webhook_attempts
"""

RELEASE_WEBHOOK: Final = """
UPDATE lgs_webhook SET attempts = greatest(attempts - 1, 0), due_at = now() + make_interval(secs => $2)
WHERE run_id = $1
"""

DROP_WEBHOOK: Final = "DELETE FROM lgs_webhook WHERE run_id = $1"

ORPHANED_THREADS: Final = """
SELECT thread_id FROM lgs_spent_thread WHERE spent_at <= now() - make_interval(secs => $1::float8)
ORDER BY spent_at LIMIT 1000
"""

FORGET_ORPHANED: Final = "DELETE FROM lgs_spent_thread WHERE thread_id = ANY($1::text[])"

ASK_TO_STOP: Final = """
UPDATE lgs_run
SET cancel_requested = CASE WHEN cancel_requested = 'rollback' THEN 'rollback' ELSE $2 END, updated_at = now()
WHERE run_id = ANY($1::text[]) AND status IN ('pending', 'running')
"""

UNFINISHED_RUNS: Final = f"""
SELECT run_id FROM lgs_run r
WHERE status IN ('pending', 'running') AND status = ANY($1::text[])
  AND cancel_requested IS DISTINCT FROM $2 AND cancel_requested IS DISTINCT FROM 'rollback'
  AND created_at <= $3 AND {_within("$4")}
LIMIT 500
"""

RUN: Final = f"""
SELECT * FROM lgs_run r WHERE run_id = $1 AND ($2::text IS NULL OR thread_id = $2) AND {_within("$3")}
"""

_MATCHES: Final = f"""
($2::text IS NULL OR status = $2) AND ($3::jsonb IS NULL OR metadata @> $3) AND {_within("$4")}
"""

RUNS: Final = f"""
SELECT * FROM lgs_run r
WHERE thread_id = $1 AND {_MATCHES}
ORDER BY seq DESC LIMIT $5 OFFSET $6
"""

RUNS_OF: Final = f"""
SELECT * FROM lgs_run r
WHERE created_by = $1 AND {_MATCHES}
ORDER BY created_at DESC, run_id DESC LIMIT $5 OFFSET $6
"""

COUNT_UNFINISHED_OF: Final = """
SELECT count(*) FROM lgs_run WHERE created_by = $1 AND status IN ('pending', 'running')
"""

LOCK_USER: Final = "SELECT pg_advisory_xact_lock(hashtext('lgs_user'), hashtext($1))"

DELETE_RUN: Final = f"""
WITH gone AS (
    DELETE FROM lgs_run r
    WHERE run_id = $1 AND thread_id = $2 AND status NOT IN ('pending', 'running') AND {_within("$3")}
    RETURNING run_id, delete_thread_after
), audit AS (
    INSERT INTO lgs_audit (thread_id, who, what, details)
    SELECT $2, $4, 'run.deleted', jsonb_build_object('run_id', run_id) FROM gone
    WHERE NOT delete_thread_after
)
SELECT run_id FROM gone
"""

EXPIRE_RUNS: Final = """
WITH gone AS (
    DELETE FROM lgs_run WHERE ended_at < now() - make_interval(secs => $1::float8 * 3600) RETURNING 1
)
SELECT count(*) FROM gone
"""

DEPTH: Final = f"""
WITH fleet AS MATERIALIZED (
    SELECT CASE WHEN count(*) = 0 OR bool_or(p.graphs IS NULL) THEN NULL
                ELSE coalesce(array_agg(DISTINCT has.graph) FILTER (WHERE has.graph IS NOT NULL), '{{}}')
           END AS graphs
    FROM lgs_replica p LEFT JOIN LATERAL unnest(p.graphs) AS has (graph) ON true
    WHERE p.expires_at > now() - make_interval(secs => {REMEMBERED_SECONDS})
)
SELECT r.priority, c.unserved,
       count(*) FILTER (WHERE c.now) AS waiting, count(*) FILTER (WHERE NOT c.now) AS blocked,
       coalesce(extract(epoch FROM now() - min(r.due_at) FILTER (WHERE c.now)), 0)::float8 AS oldest
FROM lgs_run r CROSS JOIN LATERAL (
    SELECT {CLAIMABLE} AS now,
           CASE WHEN NOT {has("r.graph_id", "SELECT graphs FROM fleet")} THEN r.graph_id END AS unserved
) c
WHERE r.status = 'pending' GROUP BY r.priority, c.unserved
"""
"""`unserved`: the graph that no replica takes. One whose lease ran out a moment ago may be back at once;
without any replica nobody knows."""

TAKE_LEASE: Final = """
WITH old AS (
    UPDATE lgs_run SET claimed_by = NULL WHERE claimed_by = $1 AND status = 'running'
)
INSERT INTO lgs_replica (replica, expires_at, graphs)
VALUES ($1, now() + make_interval(secs => $2::float8), $3::text[])
ON CONFLICT (replica) DO UPDATE SET expires_at = excluded.expires_at, graphs = excluded.graphs
"""
"""A replica that starts holds nothing: what an earlier one of its name held is for the reaper."""

RENEW_LEASE: Final = """
UPDATE lgs_replica SET expires_at = now() + make_interval(secs => $2::float8) WHERE replica = $1
RETURNING true
"""
"""Whoever takes a replica's runs deletes its row in the same transaction: while it is there they are
untouched, also when the lease has run out."""

TAKE_ONLY: Final = "UPDATE lgs_replica SET graphs = $2::text[] WHERE replica = $1"

GIVE_UP_LEASE: Final = "DELETE FROM lgs_replica WHERE replica = $1"


ASKED_TO_STOP: Final = """
SELECT run_id FROM lgs_run WHERE status = 'running' AND cancel_requested IS NOT NULL
"""

NOTIFY: Final = "SELECT pg_notify('lgs', payload) FROM unnest($1::text[]) AS payload"

ENDED_OF: Final = """
SELECT asked.run_id FROM unnest($1::text[]) AS asked(run_id)
LEFT JOIN lgs_run AS run ON run.run_id = asked.run_id
WHERE run.run_id IS NULL OR run.status NOT IN ('pending', 'running')
"""

STIRRED: Final = """
SELECT seen.thread_id FROM unnest($1::text[], $2::timestamptz[]) AS seen(thread_id, updated_at)
LEFT JOIN lgs_thread AS thread ON thread.thread_id = seen.thread_id
WHERE thread.thread_id IS NULL OR thread.status = 'busy'
    OR thread.updated_at IS DISTINCT FROM seen.updated_at
"""
