"""Statements that bring runs into the queue."""

from __future__ import annotations

from typing import Final

from lgs_runtime.storage.sqlite.statements.conditions import CLAIMABLE, HAS

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

SOMEBODY_AHEAD: Final = f"SELECT 1 FROM lgs_run r WHERE r.rank < :rank AND {HAS} AND {CLAIMABLE} LIMIT 1"

PIN_OF_THREAD: Final = """
SELECT pin FROM lgs_thread WHERE thread_id = :thread_id AND rest = 'interrupted'
"""

COUNT_WAITING: Final = "SELECT count(*) FROM lgs_run WHERE status = 'pending' AND priority = :priority"

THREAD_METADATA: Final = "SELECT metadata FROM lgs_thread WHERE thread_id = :thread_id"

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
                     graph_id, pin)
VALUES (:run_id, :thread_id, :seq, :assistant_id, :status, :priority, :rank, :metadata, :kwargs,
        :multitask_strategy, :delete_thread_after, :attempt, :claimed_by, :claimed_at, :now, :now, :due_at,
        :webhook, :created_by, :thread_metadata, :level, :fairness_group, :turn, :graph_id,
        :pin)
RETURNING *
"""

TURNS: Final = """
SELECT (SELECT max(turn) FROM lgs_run WHERE level = :level AND status = 'running' AND turn >= 0) AS running,
       (SELECT min(turn) FROM lgs_run WHERE level = :level AND status = 'pending' AND turn > 0) AS waiting,
       (SELECT max(turn) FROM lgs_run
        WHERE level = :level AND fairness_group = :group AND status = 'pending') AS of_group
"""
"""The arguments of `fairness.next_turn`. Each part reads one entry of an index."""

COUNT_UNFINISHED_OF: Final = """
SELECT count(*) FROM lgs_run WHERE created_by = :user AND status IN ('pending', 'running')
"""
