"""Every statement of the SQLite queue, by name; `:now` is the machine's clock in seconds since the epoch,
`:steady` its monotonic one.

Each runs inside of a transaction that has the file to itself, so they are plain: no locks, no second looks.
"""

from __future__ import annotations

from typing import Final

from lgs_runtime.storage.fairness import FIRST_TURN, LEVELS

REMEMBERED_SECONDS: Final = 60.0
"""So long after its lease the graphs of a replica are taken for served: it may be back at once."""


def _lease(seconds_ago: float = 0.0) -> str:
    """Whether the lease `p` holds, or did so long ago."""
    return f"""
    CASE WHEN p.held_until IS NULL THEN p.expires_at > :now - {seconds_ago}
         ELSE p.held_from <= :steady AND p.held_until > :steady - {seconds_ago} END
"""


_HOLDS: Final = _lease()

_CLAIMABLE: Final = """
    r.status = 'pending' AND r.due_at <= max(:now, r.created_at)
    AND NOT EXISTS (SELECT 1 FROM lgs_run o WHERE o.thread_id = r.thread_id AND o.status = 'running')
    AND NOT EXISTS (SELECT 1 FROM lgs_run o WHERE o.thread_id = r.thread_id AND o.status = 'pending'
                    AND o.seq < r.seq AND o.due_at <= max(:now, o.created_at))
"""
"""A run that nobody delayed is due as it is made, also when the clock is set back after that."""

_HAS: Final = """
    (r.graph_id IS NULL OR :graphs IS NULL OR r.graph_id IN (SELECT value FROM json_each(:graphs)))
"""
"""Whether the replica that asks has the graph of a run; `:graphs` is what it told with its lease."""

GRAPHS_OF: Final = "SELECT graphs FROM lgs_replica WHERE replica = :replica"

ASSISTANT: Final = "SELECT updated_at FROM lgs_assistant WHERE assistant_id = :assistant_id"

THREAD_EXISTS: Final = "SELECT metadata FROM lgs_thread WHERE thread_id = :thread_id"

CREATE_THREAD_FOR_RUN: Final = """
INSERT INTO lgs_thread (thread_id, metadata, created_at, updated_at, state_updated_at, created_by,
                        ttl_seconds, ttl_strategy)
VALUES (:thread_id, :metadata, :now, :now, :now, :created_by, :ttl_seconds, :ttl_strategy)
"""

UNFINISHED: Final = """
SELECT run_id, status, attempt, turn, cancel_requested FROM lgs_run
WHERE thread_id = :thread_id AND status IN ('pending', 'running') ORDER BY seq
"""

ALIVE: Final = f"SELECT graphs FROM lgs_replica p WHERE replica = :replica AND {_HOLDS}"

SOMEBODY_AHEAD: Final = f"SELECT 1 FROM lgs_run r WHERE r.rank < :rank AND {_HAS} AND {_CLAIMABLE} LIMIT 1"

COUNT_WAITING: Final = "SELECT count(*) FROM lgs_run WHERE status = 'pending' AND priority = :priority"

THREAD_METADATA: Final = "SELECT metadata FROM lgs_thread WHERE thread_id = :thread_id"

MARK_THREAD: Final = "UPDATE lgs_thread SET metadata = :metadata WHERE thread_id = :thread_id"

COUNT_RUN: Final = """
UPDATE lgs_thread
SET unfinished = unfinished + 1, runs = runs + 1,
    metadata = CASE WHEN unfinished = 0 THEN :metadata ELSE metadata END, config = coalesce(:config, config),
    level = coalesce(level, :level),
    fairness_group = coalesce(fairness_group, :group), updated_at = :now
WHERE thread_id = :thread_id RETURNING runs, metadata
"""

INSERT_RUN: Final = """
INSERT INTO lgs_run (run_id, thread_id, seq, assistant_id, status, priority, rank, metadata, kwargs,
                     multitask_strategy, delete_thread_after, attempt, claimed_by, claimed_at, created_at,
                     updated_at, due_at, webhook, created_by, thread_metadata, level, fairness_group, turn,
                     graph_id)
VALUES (:run_id, :thread_id, :seq, :assistant_id, :status, :priority, :rank, :metadata, :kwargs,
        :multitask_strategy, :delete_thread_after, :attempt, :claimed_by, :claimed_at, :now, :now, :due_at,
        :webhook, :created_by, :thread_metadata, :level, :fairness_group, :turn, :graph_id)
RETURNING *
"""

FIRST_OF_LEVELS: Final = " UNION ALL ".join(
    f"""
    SELECT * FROM (SELECT r.run_id, r.level, r.turn, r.rank FROM lgs_run r
                   WHERE r.level = {level} AND {_HAS} AND {_CLAIMABLE} ORDER BY r.turn, r.rank LIMIT :slots)
    """
    for level in LEVELS
)

CLAIM: Final = """
UPDATE lgs_run
SET status = 'running', claimed_by = :replica, claimed_at = max(:now, coalesce(claimed_at + 0.001, 0)),
    updated_at = :now, attempt = attempt + 1
WHERE run_id IN (SELECT value FROM json_each(:run_ids))
RETURNING *
"""
"""Ids of events begin with the time of the claim: those of an attempt are later than those of the one before
it, also when the clock was set back."""

TURNS: Final = """
SELECT (SELECT max(turn) FROM lgs_run WHERE level = :level AND status = 'running' AND turn >= 0) AS running,
       (SELECT min(turn) FROM lgs_run WHERE level = :level AND status = 'pending' AND turn > 0) AS waiting,
       (SELECT max(turn) FROM lgs_run
        WHERE level = :level AND fairness_group = :group AND status = 'pending') AS of_group
"""
"""What `fairness.next_turn` asks. Each part reads one entry of an index."""

ANYTHING_CLAIMABLE: Final = f"SELECT 1 FROM lgs_run r WHERE {_HAS} AND {_CLAIMABLE} LIMIT 1"

HELD: Final = """
SELECT * FROM lgs_run
WHERE run_id = :run_id AND status = 'running' AND claimed_by = :replica AND attempt = :attempt
"""

HELD_BY: Final = "SELECT * FROM lgs_run WHERE claimed_by = :replica AND status = 'running'"

LOST: Final = f"""
SELECT r.* FROM lgs_run r
WHERE r.status = 'running' AND NOT EXISTS (
    SELECT 1 FROM lgs_replica p
    WHERE p.replica = r.claimed_by AND (p.replica = :replica OR {_HOLDS}))
"""
""":replica is who asks. It lives, though its lease may have run out while it stood still."""

BURY_REPLICAS: Final = f"DELETE FROM lgs_replica AS p WHERE NOT ({_HOLDS}) AND replica IS NOT :replica"

END_RUN: Final = """
UPDATE lgs_run
SET status = :status, error = :error, result = :result, version = :version, claimed_by = NULL,
    ended_at = :now, updated_at = :now
WHERE run_id = :run_id
"""

DELETE_RUN: Final = "DELETE FROM lgs_run WHERE run_id = :run_id"

WAIT_AGAIN: Final = f"""
UPDATE lgs_run
SET status = 'pending', claimed_by = NULL, updated_at = :now, attempt = attempt - :refund,
    rank = rank - :bonus, turn = CASE WHEN :bonus > 0 THEN {FIRST_TURN} ELSE turn END
WHERE run_id = :run_id
"""

ASK_TO_STOP: Final = """
UPDATE lgs_run
SET cancel_requested = CASE WHEN cancel_requested = 'rollback' THEN 'rollback' ELSE :action END,
    updated_at = :now
WHERE run_id = :run_id
"""
"""Whoever asks for a rollback gets it, whatever others ask for."""

LEAVE_THREAD: Final = """
UPDATE lgs_thread
SET unfinished = unfinished - 1, rest = coalesce(:rest, rest),
    error = CASE WHEN :rest IS NULL THEN error ELSE :error END,
    "values" = coalesce(:values, "values"), interrupts = coalesce(:interrupts, interrupts), updated_at = :now,
    state_updated_at = CASE WHEN :rest IS NULL THEN state_updated_at ELSE :now END
WHERE thread_id = :thread_id RETURNING unfinished
"""

DROP_ORPHANED_THREAD: Final = """
DELETE FROM lgs_thread WHERE thread_id = :thread_id AND unfinished = 0 RETURNING thread_id
"""

KEEP_SPENT: Final = "INSERT OR IGNORE INTO lgs_spent_thread (thread_id, spent_at) VALUES (:thread_id, :now)"

KEEP_WEBHOOK: Final = """
INSERT INTO lgs_webhook (run_id, url, "values", due_at) VALUES (:run_id, :url, :values, :now)
"""

ANY_WEBHOOK: Final = "SELECT 1 FROM lgs_webhook WHERE due_at <= :now LIMIT 1"

DUE_WEBHOOKS: Final = """
SELECT r.*, w.url AS webhook_url, w."values" AS webhook_values, w.attempts + 1 AS webhook_attempts
FROM lgs_webhook w JOIN lgs_run r USING (run_id) WHERE w.due_at <= :now ORDER BY w.due_at LIMIT :limit
"""

CHARGE_WEBHOOK: Final = """
UPDATE lgs_webhook
SET attempts = attempts + 1, due_at = :now + min(:retry * (1 << min(attempts, 20)), :longest)
WHERE run_id = :run_id
"""

RELEASE_WEBHOOK: Final = """
UPDATE lgs_webhook SET attempts = max(attempts - 1, 0), due_at = :due_at WHERE run_id = :run_id
"""

DROP_WEBHOOK: Final = "DELETE FROM lgs_webhook WHERE run_id = :run_id"

ORPHANED_THREADS: Final = """
SELECT thread_id FROM lgs_spent_thread WHERE spent_at <= :before ORDER BY spent_at LIMIT 1000
"""

FORGET_ORPHANED: Final = """
DELETE FROM lgs_spent_thread WHERE thread_id IN (SELECT value FROM json_each(:thread_ids))
"""

_WITHIN: Final = """
    (:scope IS NULL OR lgs_within(
        coalesce((SELECT metadata FROM lgs_thread t WHERE t.thread_id = r.thread_id), r.thread_metadata),
        :scope))
"""
"""A run is within a scope when its thread is, or was when it lived."""

UNFINISHED_RUNS: Final = f"""
SELECT run_id FROM lgs_run r
WHERE status IN ('pending', 'running') AND status IN (SELECT value FROM json_each(:statuses))
  AND cancel_requested IS NOT :not_asked AND cancel_requested IS NOT 'rollback'
  AND created_at <= :before AND {_WITHIN}
LIMIT 500
"""

RUN: Final = f"""
SELECT * FROM lgs_run r
WHERE run_id = :run_id AND (:thread_id IS NULL OR thread_id = :thread_id) AND {_WITHIN}
"""

_MATCHES: Final = f"""
(:status IS NULL OR status = :status) AND (:metadata IS NULL OR lgs_contains(metadata, :metadata))
AND {_WITHIN}
"""

RUNS: Final = f"""
SELECT * FROM lgs_run r
WHERE thread_id = :thread_id AND {_MATCHES}
ORDER BY seq DESC LIMIT :limit OFFSET :offset
"""

RUNS_OF: Final = f"""
SELECT * FROM lgs_run r
WHERE created_by = :user AND {_MATCHES}
ORDER BY created_at DESC, run_id DESC LIMIT :limit OFFSET :offset
"""

COUNT_UNFINISHED_OF: Final = """
SELECT count(*) FROM lgs_run WHERE created_by = :user AND status IN ('pending', 'running')
"""

EXPIRE_RUNS: Final = "DELETE FROM lgs_run WHERE ended_at < :before"

DEPTH: Final = f"""
WITH fleet AS (SELECT graphs FROM lgs_replica p WHERE {_lease(REMEMBERED_SECONDS)}),
served AS (SELECT value AS graph_id FROM fleet, json_each(fleet.graphs)),
waits AS (
    SELECT r.priority, r.due_at, ({_CLAIMABLE}) AS claimable,
           CASE WHEN EXISTS (SELECT 1 FROM fleet) AND NOT EXISTS (SELECT 1 FROM fleet WHERE graphs IS NULL)
                     AND r.graph_id NOT IN (SELECT graph_id FROM served) THEN r.graph_id END AS unserved
    FROM lgs_run r WHERE r.status = 'pending'
)
SELECT priority, unserved, sum(claimable) AS waiting, sum(NOT claimable) AS blocked,
       max(0, :now - coalesce(min(CASE WHEN claimable THEN due_at END), :now)) AS oldest
FROM waits GROUP BY priority, unserved
"""
"""`unserved`: the graph that no replica takes."""

DISOWN: Final = "UPDATE lgs_run SET claimed_by = NULL WHERE claimed_by = :replica AND status = 'running'"

SET_LEASE: Final = """
INSERT INTO lgs_replica (replica, expires_at, held_from, held_until, graphs)
VALUES (:replica, :expires_at, :held_from, :held_until, :graphs)
ON CONFLICT (replica) DO UPDATE
SET expires_at = excluded.expires_at, held_from = excluded.held_from, held_until = excluded.held_until,
    graphs = excluded.graphs
"""

RENEW_LEASE: Final = """
UPDATE lgs_replica SET expires_at = :expires_at, held_from = :held_from, held_until = :held_until
WHERE replica = :replica
"""
"""Whoever takes a replica's runs deletes its row too: while it is there they are untouched, also when the
lease has run out."""

TAKE_ONLY: Final = "UPDATE lgs_replica SET graphs = :graphs WHERE replica = :replica"

GIVE_UP_LEASE: Final = "DELETE FROM lgs_replica WHERE replica = :replica"

ENDED_OF: Final = """
SELECT asked.value FROM json_each(:run_ids) AS asked
LEFT JOIN lgs_run AS run ON run.run_id = asked.value
WHERE run.run_id IS NULL OR run.status NOT IN ('pending', 'running')
"""

STIRRED: Final = """
-- Times are kept finer than they are told.
SELECT seen.key FROM json_each(:seen) AS seen
LEFT JOIN lgs_thread AS thread ON thread.thread_id = seen.key
WHERE thread.thread_id IS NULL OR thread.status = 'busy' OR seen.value IS NULL
    OR abs(thread.updated_at - seen.value) > 0.000001
"""
