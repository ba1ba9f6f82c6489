"""Leases of replicas, and the signals between them."""

from __future__ import annotations

from typing import Final

UNCLAIM_RUNS: Final = (
    "UPDATE lgs_run SET claimed_by = NULL WHERE claimed_by = :replica AND status = 'running'"
)

SET_LEASE: Final = """
INSERT INTO lgs_replica (replica, expires_at, held_from, held_until, graphs, revision, share)
VALUES (:replica, :expires_at, :held_from, :held_until, :graphs, :revision, :share)
ON CONFLICT (replica) DO UPDATE
SET expires_at = excluded.expires_at, held_from = excluded.held_from, held_until = excluded.held_until,
    graphs = excluded.graphs, revision = excluded.revision, share = excluded.share, leaving = 0
"""

RENEW_LEASE: Final = """
UPDATE lgs_replica SET expires_at = :expires_at, held_from = :held_from, held_until = :held_until
WHERE replica = :replica
"""
"""The replica that takes another one's runs deletes its row too: while the row exists no other has taken
them, even if the lease has run out."""

GIVE_UP_LEASE: Final = "DELETE FROM lgs_replica WHERE replica = :replica"
