"""Statements on the leases of replicas, and the signals between them."""

from __future__ import annotations

from typing import Final

TAKE_LEASE: Final = """
WITH old AS (
    UPDATE lgs_run SET claimed_by = NULL WHERE claimed_by = $1 AND status = 'running'
)
INSERT INTO lgs_replica (replica, expires_at, graphs, revision, share, pinning)
VALUES ($1, now() + make_interval(secs => $2::float8), $3::text[], $4::text, $5::smallint, $6::text)
ON CONFLICT (replica) DO UPDATE
SET expires_at = excluded.expires_at, graphs = excluded.graphs, revision = excluded.revision,
    share = excluded.share, pinning = excluded.pinning, leaving = false
"""
"""A replica that starts holds nothing: runs that an earlier replica of its name held are left to the
reaper."""

RENEW_LEASE: Final = """
UPDATE lgs_replica SET expires_at = now() + make_interval(secs => $2::float8) WHERE replica = $1
RETURNING true
"""
"""A replica that takes the runs of another deletes that replica's row in the same transaction. So while the
row exists, nobody has taken the runs, even if the lease has run out."""

GIVE_UP_LEASE: Final = "DELETE FROM lgs_replica WHERE replica = $1"

ASKED_TO_STOP: Final = """
SELECT run_id FROM lgs_run WHERE status = 'running' AND cancel_requested IS NOT NULL
"""

NOTIFY: Final = "SELECT pg_notify('lgs', payload) FROM unnest($1::text[]) AS payload"

NOW: Final = "SELECT now()"
