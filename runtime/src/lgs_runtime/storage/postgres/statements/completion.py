"""Statements that end runs, all of the moment at once; parameters and locks are as in `arrivals`."""

from __future__ import annotations

from typing import Final

FINISH: Final = """
WITH ends AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::integer[], $5::text[], $6::text[],
                         $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[],
                         $13::boolean[], $14::text[])
        AS e (thread_id, run_id, replica, attempt, status, error, rest, values, interrupts, checkpoint_id,
              answer, names, undone, marks)
), thread AS MATERIALIZED (
    SELECT t.thread_id, t.unfinished, t.values, t.versions FROM lgs_thread t
    WHERE t.thread_id = ANY($1::text[]) ORDER BY t.thread_id FOR UPDATE
), ended AS (
    UPDATE lgs_run r
    SET status = e.status, error = e.error, claimed_by = NULL, ended_at = now(), updated_at = now(),
        metadata = CASE WHEN e.marks IS NULL THEN r.metadata ELSE r.metadata || e.marks::jsonb END,
        result = coalesce(e.answer, CASE WHEN r.delete_thread_after THEN e.values END)::json,
        version = CASE WHEN e.checkpoint_id IS NOT NULL AND NOT r.delete_thread_after
                       THEN thread.versions + 1 END
    FROM ends e JOIN thread USING (thread_id)
    WHERE r.run_id = e.run_id AND r.status = 'running' AND r.claimed_by = e.replica AND r.attempt = e.attempt
      AND r.cancel_requested IS DISTINCT FROM 'rollback'
    RETURNING r.run_id, r.thread_id, r.delete_thread_after, r.webhook, r.version, r.created_by, r.pin
), webhook AS (
    INSERT INTO lgs_webhook (run_id, url, values)
    SELECT d.run_id, d.webhook, coalesce(e.answer::json, e.values::json)
    FROM ended d JOIN ends e USING (run_id) JOIN thread ON thread.thread_id = d.thread_id
    WHERE d.webhook IS NOT NULL
), deleted AS (
    DELETE FROM lgs_run r USING ends e JOIN thread USING (thread_id)
    WHERE r.run_id = e.run_id AND r.status = 'running' AND r.claimed_by = e.replica AND r.attempt = e.attempt
      AND r.cancel_requested = 'rollback' AND e.undone
    RETURNING r.run_id, r.thread_id, r.delete_thread_after, r.pin
), version AS (
    INSERT INTO lgs_version (thread_id, version, checkpoint_id, run_id, interrupts, created_by)
    SELECT d.thread_id, d.version, e.checkpoint_id, d.run_id, coalesce(e.interrupts::jsonb, '{}'),
           d.created_by
    FROM ended d JOIN ends e USING (run_id) WHERE d.version IS NOT NULL
), crowd AS (
    INSERT INTO lgs_crowded_thread (thread_id) SELECT thread_id FROM ended WHERE version > $15::bigint
    ON CONFLICT DO NOTHING
), gone AS (
    SELECT g.*, g.delete_thread_after AND thread.unfinished = 1 AS last
    FROM (SELECT run_id, thread_id, delete_thread_after, pin, version, true AS kept FROM ended
          UNION ALL SELECT run_id, thread_id, delete_thread_after, pin, NULL, false FROM deleted) g
    JOIN thread USING (thread_id)
), kept AS (
    UPDATE lgs_thread t
    SET unfinished = t.unfinished - 1, rest = e.rest,
        pin = CASE WHEN e.rest = 'interrupted' THEN gone.pin END,
        values = coalesce(e.values::jsonb, t.values), error = e.error,
        interrupts = coalesce(e.interrupts::jsonb, t.interrupts),
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
"""Takes the columns of `completion.row`; $15: how many versions a thread keeps. A run is not returned for one
of three reasons: the replica did not hold that attempt; the run is to be rolled back and is not undone; or it
was cancelled while the statement waited for its thread, which a second statement sees."""

TO_ROLL_BACK: Final = """
SELECT r.run_id FROM lgs_run r
JOIN unnest($1::text[], $2::text[], $3::integer[]) AS e (run_id, replica, attempt) USING (run_id)
WHERE r.status = 'running' AND r.claimed_by = e.replica AND r.attempt = e.attempt
  AND r.cancel_requested = 'rollback'
"""
