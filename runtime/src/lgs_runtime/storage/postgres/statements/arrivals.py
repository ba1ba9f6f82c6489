"""Statements that bring runs into the queue: one statement for all runs of the moment, with everything that
belongs to them. Many runs cost little more than one: one round trip, one plan, one commit.

Parameters are columns: one array per column, one place per run. Locks are taken as in `queue`: threads first,
in the order of their ids. An UPDATE sees the newest version of a row it waited for, a sub-select does not.
"""

from __future__ import annotations

from typing import Final

from lgs_runtime.storage.postgres.statements.conditions import (
    CLAIMABLE,
    PIN_OF_ASKER,
    PIN_OF_RUN,
    asker,
    keeps,
    takes,
)

CREATE_THREAD_FOR_RUN: Final = """
INSERT INTO lgs_thread (thread_id, metadata, created_by, ttl_seconds, ttl_strategy)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING
"""

THREAD_WITHIN: Final = """
SELECT EXISTS (SELECT FROM lgs_thread WHERE thread_id = $1 AND ($2::jsonb[] IS NULL OR metadata @> ANY($2)))
"""

ASSISTANT_AS_OF: Final = "SELECT updated_at FROM lgs_assistant WHERE assistant_id = $1"

UNFINISHED: Final = """
SELECT run_id, status, attempt, turn, cancel_requested FROM lgs_run
WHERE thread_id = $1 AND status IN ('pending', 'running') ORDER BY seq
"""

TO_BE_STOPPED: Final = f"{UNFINISHED} FOR UPDATE"
"""Locks the runs, as claims do not lock threads: a run to be ended or deleted as waiting must still wait."""

MAY_CLAIM: Final = f"""
WITH asker AS MATERIALIZED ({asker("$1")})
SELECT EXISTS (SELECT FROM asker) AND {takes("$3::text", "$4::text")}
   AND {keeps("(SELECT pin FROM lgs_thread WHERE thread_id = $4::text AND rest = 'interrupted')")}
   AND NOT EXISTS (SELECT FROM lgs_run r WHERE r.rank < extract(epoch FROM now()) + $2::float8
                   AND {takes("r.graph_id", "r.thread_id")} AND {keeps(PIN_OF_RUN)} AND {CLAIMABLE})
"""
"""A run that the asking replica can't take does not count as ahead of its own."""

LOCK_PRIORITY: Final = "SELECT pg_advisory_xact_lock(hashtext('lgs_queue'), $1::integer)"

COUNT_WAITING: Final = "SELECT count(*) FROM lgs_run WHERE status = 'pending' AND priority = $1::smallint"

COUNT_UNFINISHED_OF: Final = """
SELECT count(*) FROM lgs_run WHERE created_by = $1 AND status IN ('pending', 'running')
"""

LOCK_USER: Final = "SELECT pg_advisory_xact_lock(hashtext('lgs_user'), hashtext($1))"

_NEW: Final = """
    SELECT * FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::smallint[], $7::text[], $8::float8[],
        $9::boolean[], $10::text[], $11::boolean[], $12::text[], $13::integer[], $14::float8[], $15::text[],
        $16::text[], $17::text[], $18::text[], $19::smallint[], $20::text[], $21::smallint[], $22::text[],
        $23::float8[], $24::text[], $25::timestamptz[], $26::text[], $27::text[]
    ) WITH ORDINALITY AS n (
        run_id, thread_id, assistant_id, kwargs, metadata, priority, strategy, delay,
        create_thread, thread_metadata, delete_thread_after, claim_for, room, rank_offset, webhook,
        created_by, created_metadata, scope, level, fairness_group, kept_level, kept_group,
        ttl_seconds, ttl_strategy, assistant_as_of, thread_config, graph_id, number)
"""
"""The rows of `arrivals.row`. These may be null: `claim_for`, `scope`, the priority that the thread keeps
(`kept_…`), its time to live and config, `assistant_as_of` and `graph_id`. `claim_for` names the same replica
in all rows."""

_NEXT_TURN: Final = """
    greatest((SELECT max(turn) FROM lgs_run r
              WHERE r.level = p.level AND r.status = 'running' AND r.turn >= 0),
             (SELECT min(turn) - 1 FROM lgs_run r
              WHERE r.level = p.level AND r.status = 'pending' AND r.turn > 0),
             (SELECT max(turn) FROM lgs_run r
              WHERE r.level = p.level AND r.fairness_group = p.fairness_group AND r.status = 'pending'), 0)
    + row_number() OVER (PARTITION BY p.level, p.fairness_group, p.claimed ORDER BY p.number)
"""
"""`fairness.next_turn`, with consecutive turns for runs of a group that arrive together. Each part reads one
entry of an index."""


def _insert_run(pin: str) -> str:
    """Runs that arrive together keep their order: each gets a rank one microsecond after the one before.
    `pin`: the revision that one is pinned to which is stored as claimed."""
    return f"""
    INSERT INTO lgs_run (run_id, thread_id, seq, assistant_id, status, priority, rank, metadata, kwargs,
                         multitask_strategy, delete_thread_after, attempt, claimed_by, claimed_at, due_at,
                         webhook, created_by, thread_metadata, level, fairness_group, turn, graph_id, pin)
    SELECT p.run_id, p.thread_id, p.seq, p.assistant_id, CASE WHEN claimed THEN 'running' ELSE 'pending' END,
           p.priority, extract(epoch FROM now()) + p.delay + p.rank_offset + p.number * 1e-6,
           p.metadata::jsonb, p.kwargs::json, p.strategy, p.delete_thread_after,
           CASE WHEN claimed THEN 1 ELSE 0 END, CASE WHEN claimed THEN p.claim_for END,
           CASE WHEN claimed THEN now() END, now() + make_interval(secs => p.delay), p.webhook, p.created_by,
           p.of_thread,
           p.level, p.fairness_group, {_NEXT_TURN}, p.graph_id,
           CASE WHEN claimed THEN {pin} END
    FROM place p
    RETURNING *
"""


_PIN_OF_THREAD: Final = "CASE WHEN t.rest = 'interrupted' THEN t.pin END"

_PIN_OF_CLAIM: Final = """
    (SELECT own.revision FROM lgs_replica own WHERE own.replica = p.claim_for AND own.pinning IS NOT NULL)
"""

ENQUEUE: Final = f"""
WITH new AS MATERIALIZED ({_NEW}), asker AS MATERIALIZED (
    {asker("(SELECT max(claim_for) FROM new)")}
), ahead AS (
    SELECT o.rank_offset, EXISTS (
        SELECT FROM lgs_run r
        WHERE r.rank < extract(epoch FROM now()) + o.rank_offset
          AND {takes("r.graph_id", "r.thread_id")} AND {keeps(PIN_OF_RUN)} AND {CLAIMABLE}
    ) AS somebody
    FROM (SELECT DISTINCT rank_offset FROM new WHERE claim_for IS NOT NULL) o
), waiting AS (
    SELECT q.priority, (
        SELECT count(*) FROM lgs_run r WHERE r.status = 'pending' AND r.priority = q.priority
    ) AS runs
    FROM (SELECT DISTINCT priority FROM new) q
), gate AS MATERIALIZED (
    SELECT n.*,
           n.delay <= 0 AND NOT a.somebody
           AND EXISTS (SELECT FROM asker) AND {takes("n.graph_id", "n.thread_id")} AS may_claim,
           w.runs + row_number() OVER (PARTITION BY n.priority ORDER BY n.number) <= n.room AS has_room
    FROM new n JOIN waiting w USING (priority)
    LEFT JOIN ahead a ON n.claim_for IS NOT NULL AND a.rank_offset = n.rank_offset
    WHERE EXISTS (
        SELECT FROM lgs_assistant s
        WHERE s.assistant_id = n.assistant_id
          AND (n.assistant_as_of IS NULL OR s.updated_at = n.assistant_as_of))
), locked AS MATERIALIZED (
    SELECT t.thread_id FROM lgs_thread t WHERE t.thread_id = ANY($2::text[]) ORDER BY t.thread_id FOR UPDATE
), joined AS (
    UPDATE lgs_thread t
    SET unfinished = t.unfinished + 1, runs = t.runs + 1,
        metadata = CASE WHEN t.unfinished = 0 THEN t.metadata || g.thread_metadata::jsonb ELSE t.metadata END,
        config = coalesce(g.thread_config::jsonb, t.config),
        level = coalesce(t.level, g.kept_level),
        fairness_group = coalesce(t.fairness_group, g.kept_group), updated_at = now()
    FROM gate g JOIN locked USING (thread_id)
    WHERE t.thread_id = g.thread_id AND (g.has_room OR (g.may_claim AND {keeps(_PIN_OF_THREAD)}))
      AND (t.unfinished = 0 OR (g.strategy = 'enqueue' AND g.has_room))
      AND (g.scope IS NULL
           OR EXISTS (SELECT FROM jsonb_array_elements(g.scope::jsonb) d WHERE t.metadata @> d.value))
    RETURNING t.thread_id, t.runs AS seq, t.unfinished, t.metadata AS of_thread,
              {_PIN_OF_THREAD} AS pin
), made AS (
    INSERT INTO lgs_thread (thread_id, metadata, config, unfinished, runs, created_by, level, fairness_group,
                            ttl_seconds, ttl_strategy)
    SELECT g.thread_id, g.created_metadata::jsonb || g.thread_metadata::jsonb,
           coalesce(g.thread_config::jsonb, '{{}}'), 1, 1, g.created_by, g.kept_level, g.kept_group,
           g.ttl_seconds, g.ttl_strategy
    FROM gate g
    WHERE g.create_thread AND (g.has_room OR (g.may_claim AND {keeps("NULL")}))
      AND NOT EXISTS (SELECT FROM locked l WHERE l.thread_id = g.thread_id)
    ON CONFLICT DO NOTHING
    RETURNING thread_id, runs AS seq, unfinished, metadata AS of_thread, pin
), place AS (
    SELECT g.*, p.seq, p.of_thread,
           p.unfinished = 1 AND coalesce(g.may_claim, false) AND {keeps("p.pin")} AS claimed
    FROM gate g JOIN (SELECT * FROM joined UNION ALL SELECT * FROM made) p USING (thread_id)
)
{_insert_run(PIN_OF_ASKER)}
"""
"""The whole of the common case in one round trip; each run must have a thread of its own. A run that is not
returned is stored under a lock, which finds out the reason or makes room."""

INSERT_RUN: Final = f"""
WITH new AS ({_NEW}), thread AS (
    UPDATE lgs_thread t
    SET unfinished = t.unfinished + 1, runs = t.runs + 1,
        metadata = CASE WHEN t.unfinished = 0 THEN t.metadata || n.thread_metadata::jsonb ELSE t.metadata END,
        config = coalesce(n.thread_config::jsonb, t.config),
        level = coalesce(t.level, n.kept_level),
        fairness_group = coalesce(t.fairness_group, n.kept_group), updated_at = now()
    FROM new n WHERE t.thread_id = n.thread_id
    RETURNING t.thread_id, t.runs AS seq, t.metadata AS of_thread
), place AS (
    SELECT n.*, t.seq, t.of_thread, n.claim_for IS NOT NULL AS claimed
    FROM new n JOIN thread t USING (thread_id)
)
{_insert_run(_PIN_OF_CLAIM)}
"""
"""Inserts one run, whose thread is locked and whose place is settled: as claimed by `claim_for`, if that is
given."""
