"""Statements that claim runs, hand them back, take them from lost replicas and cancel them.

`:now` is the machine's clock in seconds since the epoch, `:steady` its monotonic clock.

Each statement that changes something runs in a transaction that has the file to itself. So they are plain:
without locks, and without a second read.
"""

from __future__ import annotations

from typing import Final

from lgs_runtime.storage.fairness import FIRST_TURN, LEVELS
from lgs_runtime.storage.sqlite.statements.conditions import (
    CLAIMABLE,
    HAS,
    HOLDS,
    PIN_OF_RUN,
    REMEMBERED_SECONDS,
    lease_holds,
)

OF_REPLICA: Final = "SELECT graphs, revision, share, pinning FROM lgs_replica WHERE replica = :replica"

ALIVE: Final = f"""
SELECT graphs, revision, share, pinning FROM lgs_replica p WHERE replica = :replica AND {HOLDS}
"""

FLEET: Final = f"""
SELECT graphs, revision, share FROM lgs_replica p
WHERE {HOLDS} AND NOT leaving AND EXISTS (SELECT 1 FROM lgs_replica WHERE share IS NOT NULL)
"""
"""Replicas that claim runs; no rows when none of them can be a canary."""

LEAVE: Final = "UPDATE lgs_replica SET leaving = 1 WHERE replica = :replica"

JOIN: Final = "UPDATE lgs_replica SET leaving = 0 WHERE replica = :replica"

FIRST_OF_LEVELS: Final = " UNION ALL ".join(
    f"""
    SELECT * FROM (SELECT r.run_id, r.level, r.turn, r.rank FROM lgs_run r
                   WHERE r.level = {level} AND {HAS} AND {CLAIMABLE} ORDER BY r.turn, r.rank LIMIT :slots)
    """
    for level in LEVELS
)

CLAIM: Final = """
UPDATE lgs_run
SET status = 'running', claimed_by = :replica, claimed_at = max(:now, coalesce(claimed_at + 0.002, 0)),
    updated_at = :now, attempt = attempt + 1, pin = :pin
WHERE run_id IN (SELECT value FROM json_each(:run_ids))
RETURNING *
"""
"""Ids of events begin with the millisecond of the claim: those of an attempt are later than those of the
attempt before it, even when the clock was set back. Two milliseconds are added, as one more could be rounded
to the same one."""

ANYTHING_CLAIMABLE: Final = f"SELECT 1 FROM lgs_run r WHERE {HAS} AND {CLAIMABLE} LIMIT 1"

HELD: Final = """
SELECT * FROM lgs_run
WHERE run_id = :run_id AND status = 'running' AND claimed_by = :replica AND attempt = :attempt
"""

_FLEET: Final = f"""
WITH fleet AS (
    SELECT graphs, revision, pinning FROM lgs_replica p
    WHERE {lease_holds(REMEMBERED_SECONDS)} AND pinning IS NOT 'closed'
)"""
"""The replicas that take new threads."""

_ELSEWHERE: Final = f"""
    EXISTS (SELECT 1 FROM fleet WHERE pinning IS NOT NULL)
    AND coalesce({PIN_OF_RUN} NOT IN (SELECT revision FROM fleet WHERE revision IS NOT NULL), 0)
"""
"""Whether the run `r` is pinned to a revision that is none of theirs."""

UNSERVED: Final = f"""
{_FLEET}
SELECT r.* FROM lgs_run r
WHERE r.status = 'pending' AND r.due_at <= :now - :waited
  AND r.graph_id IN (SELECT value FROM json_each(:graph_ids))
  AND NOT EXISTS (
      SELECT 1 FROM lgs_replica p
      WHERE {lease_holds(REMEMBERED_SECONDS)}
        AND (p.graphs IS NULL OR r.graph_id IN (SELECT value FROM json_each(p.graphs)))
        AND (p.pinning IS NOT 'closed' OR p.revision = {PIN_OF_RUN}))
  AND NOT ({_ELSEWHERE})
ORDER BY r.seq LIMIT 100
"""
"""Waiting runs of graphs that no replica takes, judged as in `DEPTH`: not those that are pinned to a revision
whose replicas may come back."""

TAKEN_BY_ANY: Final = f"""
SELECT 1 FROM lgs_replica p
WHERE {HOLDS} AND :graph_id IN (SELECT value FROM json_each(coalesce(p.graphs, '[]'))) LIMIT 1
"""

TAKE_ONLY: Final = "UPDATE lgs_replica SET graphs = :graphs WHERE replica = :replica"

HELD_BY: Final = "SELECT * FROM lgs_run WHERE claimed_by = :replica AND status = 'running'"

LOST: Final = f"""
SELECT r.* FROM lgs_run r
WHERE r.status = 'running' AND NOT EXISTS (
    SELECT 1 FROM lgs_replica p
    WHERE p.replica = r.claimed_by AND (p.replica = :replica OR {HOLDS}))
"""
"""`:replica` is the asking replica. It is alive, though its lease may have run out while it stood still."""

DELETE_LOST_REPLICAS: Final = f"DELETE FROM lgs_replica AS p WHERE NOT ({HOLDS}) AND replica IS NOT :replica"

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
"""A rollback once asked for stays, whatever is asked for later."""

DEPTH: Final = f"""
{_FLEET},
served AS (SELECT value AS graph_id FROM fleet, json_each(fleet.graphs)),
waits AS (
    SELECT r.priority, r.due_at, NOT ({_ELSEWHERE}) AND ({CLAIMABLE}) AS claimable,
           CASE WHEN NOT ({_ELSEWHERE}) AND EXISTS (SELECT 1 FROM fleet)
                     AND NOT EXISTS (SELECT 1 FROM fleet WHERE graphs IS NULL)
                     AND r.graph_id NOT IN (SELECT graph_id FROM served) THEN r.graph_id END AS unserved
    FROM lgs_run r WHERE r.status = 'pending'
)
SELECT priority, unserved, sum(claimable) AS waiting, sum(NOT claimable) AS blocked,
       max(0, :now - coalesce(min(CASE WHEN claimable THEN due_at END), :now)) AS oldest,
       min(CASE WHEN due_at > :now THEN due_at END) - :now AS next_due
FROM waits GROUP BY priority, unserved
UNION ALL
SELECT NULL, NULL, 0, 0, 0, min(next_run_date) - :now FROM lgs_cron WHERE enabled AND next_run_date > :now
"""
"""`unserved`: the graph, if no replica takes it. What is pinned to a revision that only `closed` replicas
run, or none, is blocked: others would not help it. The row without a priority is that of the crons."""
