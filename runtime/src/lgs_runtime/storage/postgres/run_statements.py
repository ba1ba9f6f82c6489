"""How a run comes and how it ends: statements for as many runs as there are at the moment, each with all that
belongs to it. Many at once cost little more than one: one round trip, one plan, one commit.

Parameters are columns: an array for each, one place a run. Locks are taken as in `statements.py`: threads
first, in the order of their ids. An UPDATE sees the newest version of a row it waited for, a sub-select does
not.
"""

from __future__ import annotations

from typing import Final

from lgs_runtime.storage.postgres.statements import CLAIMABLE, has

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
"""`arrivals.row`. `claim_for`, `scope`, what the thread keeps, its time to live and config, `assistant_as_of`
and `graph_id` may be null. The replica in `claim_for` is the same in all."""

_NEXT_TURN: Final = """
    greatest((SELECT max(turn) FROM lgs_run r
              WHERE r.level = p.level AND r.status = 'running' AND r.turn >= 0),
             (SELECT min(turn) - 1 FROM lgs_run r
              WHERE r.level = p.level AND r.status = 'pending' AND r.turn > 0),
             (SELECT max(turn) FROM lgs_run r
              WHERE r.level = p.level AND r.fairness_group = p.fairness_group AND r.status = 'pending'), 0)
    + row_number() OVER (PARTITION BY p.level, p.fairness_group, p.claimed ORDER BY p.number)
"""
"""`fairness.next_turn`, one after the other for those of a group that arrive together. Each part reads one
entry of an index."""

_INSERT_RUN: Final = f"""
    INSERT INTO lgs_run (run_id, thread_id, seq, assistant_id, status, priority, rank, metadata, kwargs,
                         multitask_strategy, delete_thread_after, attempt, claimed_by, claimed_at, due_at,
                         webhook, created_by, thread_metadata, level, fairness_group, turn, graph_id)
    SELECT p.run_id, p.thread_id, p.seq, p.assistant_id, CASE WHEN claimed THEN 'running' ELSE 'pending' END,
           p.priority, extract(epoch FROM now()) + p.delay + p.rank_offset + p.number * 1e-6,
           p.metadata::jsonb, p.kwargs::json, p.strategy, p.delete_thread_after,
           CASE WHEN claimed THEN 1 ELSE 0 END, CASE WHEN claimed THEN p.claim_for END,
           CASE WHEN claimed THEN now() END, now() + make_interval(secs => p.delay), p.webhook, p.created_by,
           p.of_thread,
           p.level, p.fairness_group, {_NEXT_TURN}, p.graph_id
    FROM place p
    RETURNING *
"""
"""What arrives together keeps its order: a microsecond of rank from one to the next."""

ENQUEUE: Final = f"""
WITH new AS MATERIALIZED ({_NEW}), asker AS MATERIALIZED (
    SELECT graphs FROM lgs_replica
    WHERE replica = (SELECT max(claim_for) FROM new) AND expires_at > now()
), ahead AS (
    SELECT o.rank_offset, EXISTS (
        SELECT FROM lgs_run r
        WHERE r.rank < extract(epoch FROM now()) + o.rank_offset
          AND {has("r.graph_id", "SELECT graphs FROM asker")} AND {CLAIMABLE}
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
           AND EXISTS (SELECT FROM asker WHERE {has("n.graph_id", "graphs")}) AS may_claim,
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
    WHERE t.thread_id = g.thread_id AND (g.may_claim OR g.has_room)
      AND (t.unfinished = 0 OR (g.strategy = 'enqueue' AND g.has_room))
      AND (g.scope IS NULL
           OR EXISTS (SELECT FROM jsonb_array_elements(g.scope::jsonb) d WHERE t.metadata @> d.value))
    RETURNING t.thread_id, t.runs AS seq, t.unfinished, t.metadata AS of_thread
), made AS (
    INSERT INTO lgs_thread (thread_id, metadata, config, unfinished, runs, created_by, level, fairness_group,
                            ttl_seconds, ttl_strategy)
    SELECT g.thread_id, g.created_metadata::jsonb || g.thread_metadata::jsonb,
           coalesce(g.thread_config::jsonb, '{{}}'), 1, 1, g.created_by, g.kept_level, g.kept_group,
           g.ttl_seconds, g.ttl_strategy
    FROM gate g
    WHERE g.create_thread AND (g.may_claim OR g.has_room)
      AND NOT EXISTS (SELECT FROM locked l WHERE l.thread_id = g.thread_id)
    ON CONFLICT DO NOTHING
    RETURNING thread_id, runs AS seq, unfinished, metadata AS of_thread
), place AS (
    SELECT g.*, p.seq, p.of_thread, p.unfinished = 1 AND coalesce(g.may_claim, false) AS claimed
    FROM gate g JOIN (SELECT * FROM joined UNION ALL SELECT * FROM made) p USING (thread_id)
)
{_INSERT_RUN}
"""
"""The whole of the common case in one round trip; each run has a thread of its own. A run that does not come
back needs a closer look, which finds out why, or makes room."""

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
{_INSERT_RUN}
"""
"""One run, whose thread is locked and whose place is settled: it is claimed by `claim_for`, if there is
one."""

FINISH: Final = """
WITH ends AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::integer[], $5::text[], $6::text[],
                         $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[],
                         $13::boolean[])
        AS e (thread_id, run_id, replica, attempt, status, error, rest, values, interrupts, checkpoint_id,
              answer, names, undone)
), thread AS MATERIALIZED (
    SELECT t.thread_id, t.unfinished, t.values, t.versions FROM lgs_thread t
    WHERE t.thread_id = ANY($1::text[]) ORDER BY t.thread_id FOR UPDATE
), ended AS (
    UPDATE lgs_run r
    SET status = e.status, error = e.error, claimed_by = NULL, ended_at = now(), updated_at = now(),
        result = coalesce(e.answer, CASE WHEN r.delete_thread_after THEN e.values END)::json,
        version = CASE WHEN e.checkpoint_id IS NOT NULL AND NOT r.delete_thread_after
                       THEN thread.versions + 1 END
    FROM ends e JOIN thread USING (thread_id)
    WHERE r.run_id = e.run_id AND r.status = 'running' AND r.claimed_by = e.replica AND r.attempt = e.attempt
      AND r.cancel_requested IS DISTINCT FROM 'rollback'
    RETURNING r.run_id, r.thread_id, r.delete_thread_after, r.webhook, r.version, r.created_by
), webhook AS (
    INSERT INTO lgs_webhook (run_id, url, values)
    SELECT d.run_id, d.webhook, coalesce(e.answer::json, e.values::json)
    FROM ended d JOIN ends e USING (run_id) JOIN thread ON thread.thread_id = d.thread_id
    WHERE d.webhook IS NOT NULL
), deleted AS (
    DELETE FROM lgs_run r USING ends e JOIN thread USING (thread_id)
    WHERE r.run_id = e.run_id AND r.status = 'running' AND r.claimed_by = e.replica AND r.attempt = e.attempt
      AND r.cancel_requested = 'rollback' AND e.undone
    RETURNING r.run_id, r.thread_id, r.delete_thread_after
), version AS (
    INSERT INTO lgs_version (thread_id, version, checkpoint_id, run_id, interrupts, created_by)
    SELECT d.thread_id, d.version, e.checkpoint_id, d.run_id, coalesce(e.interrupts::jsonb, '{}'),
           d.created_by
    FROM ended d JOIN ends e USING (run_id) WHERE d.version IS NOT NULL
), crowd AS (
    INSERT INTO lgs_crowded_thread (thread_id) SELECT thread_id FROM ended WHERE version > $14::bigint
    ON CONFLICT DO NOTHING
), gone AS (
    SELECT g.*, g.delete_thread_after AND thread.unfinished = 1 AS last
    FROM (SELECT run_id, thread_id, delete_thread_after, version, true AS kept FROM ended
          UNION ALL SELECT run_id, thread_id, delete_thread_after, NULL, false FROM deleted) g
    JOIN thread USING (thread_id)
), kept AS (
    UPDATE lgs_thread t
    SET unfinished = t.unfinished - 1, rest = e.rest, values = coalesce(e.values::jsonb, t.values),
        error = e.error, interrupts = coalesce(e.interrupts::jsonb, t.interrupts),
        metadata = CASE WHEN gone.kept AND NOT t.metadata @> e.names::jsonb
                        THEN t.metadata || e.names::jsonb ELSE t.metadata END,
        versions = coalesce(gone.version, t.versions), updated_at = now(), state_updated_at = now()
    FROM gone JOIN ends e USING (run_id) WHERE t.thread_id = gone.thread_id AND NOT gone.last
    RETURNING t.thread_id, t.unfinished
), dropped AS (
    DELETE FROM lgs_thread t USING gone WHERE t.thread_id = gone.thread_id AND gone.last
    RETURNING t.thread_id, 0 AS unfinished
), orphaned AS (
    INSERT INTO lgs_spent_thread (thread_id) SELECT thread_id FROM dropped ON CONFLICT DO NOTHING
)
SELECT gone.run_id, gone.kept, rest.unfinished
FROM gone JOIN (SELECT * FROM kept UNION ALL SELECT * FROM dropped) rest USING (thread_id)
"""
"""`completion.row`; $14: versions that a thread keeps. A run that does not come back was not the replica's at
that attempt, or is to be rolled back and is not undone, or was cancelled while the statement waited for its
thread, which a second look sees."""

TO_ROLL_BACK: Final = """
SELECT r.run_id FROM lgs_run r
JOIN unnest($1::text[], $2::text[], $3::integer[]) AS e (run_id, replica, attempt) USING (run_id)
WHERE r.status = 'running' AND r.claimed_by = e.replica AND r.attempt = e.attempt
  AND r.cancel_requested = 'rollback'
"""
