"""Statements on the leases of replicas."""

from __future__ import annotations

from typing import Final

UNCLAIM_RUNS: Final = (
    "UPDATE lgs_run SET claimed_by = NULL WHERE claimed_by = :replica AND status = 'running'"
)

SET_LEASE: Final = """
INSERT INTO lgs_replica (replica, expires_at, held_from, held_until, graphs, revision, share,
                         pinning)
VALUES (:replica, :expires_at, :held_from, :held_until, :graphs, :revision, :share, :pinning)
ON CONFLICT (replica) DO UPDATE
SET expires_at = excluded.expires_at, held_from = excluded.held_from, held_until = excluded.held_until,
    graphs = excluded.graphs, revision = excluded.revision, share = excluded.share,
    pinning = excluded.pinning, leaving = 0
"""

RENEW_LEASE: Final = """
UPDATE lgs_replica SET expires_at = :expires_at, held_from = :held_from, held_until = :held_until
WHERE replica = :replica
"""
"""A replica that takes the runs of another deletes that replica's row too. So while the row exists, nobody
has taken the runs, even if the lease has run out."""

GIVE_UP_LEASE: Final = "DELETE FROM lgs_replica WHERE replica = :replica"
