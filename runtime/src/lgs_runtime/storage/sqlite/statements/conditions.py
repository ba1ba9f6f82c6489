"""What many statements ask of a row."""

from __future__ import annotations

from typing import Final

REMEMBERED_SECONDS: Final = 60.0
"""So long after its lease the graphs of a replica are taken for served: it may be back at once."""


def lease_holds(seconds_ago: float = 0.0) -> str:
    """Whether the lease `p` holds, or did so long ago."""
    return f"""
    CASE WHEN p.held_until IS NULL THEN p.expires_at > :now - {seconds_ago}
         ELSE p.held_from <= :steady AND p.held_until > :steady - {seconds_ago} END
"""


HOLDS: Final = lease_holds()

CLAIMABLE: Final = """
    r.status = 'pending' AND r.due_at <= max(:now, r.created_at)
    AND NOT EXISTS (SELECT 1 FROM lgs_run o WHERE o.thread_id = r.thread_id AND o.status = 'running')
    AND NOT EXISTS (SELECT 1 FROM lgs_run o WHERE o.thread_id = r.thread_id AND o.status = 'pending'
                    AND o.seq < r.seq AND o.due_at <= max(:now, o.created_at))
"""
"""A run that nobody delayed is due as it is made, also when the clock is set back after that."""

HAS: Final = """
    (r.graph_id IS NULL OR :graphs IS NULL OR r.graph_id IN (SELECT value FROM json_each(:graphs)))
    AND (:part IS NULL OR lgs_takes(:part, r.graph_id, r.thread_id))
"""
"""Whether the replica that asks takes a run; `:graphs` are those that it declared with its lease, `:part`
what it takes beside a canary (`canary.Part`)."""

RUN_WITHIN: Final = """
    (:scope IS NULL OR lgs_within(
        coalesce((SELECT metadata FROM lgs_thread t WHERE t.thread_id = r.thread_id), r.thread_metadata),
        :scope))
"""
"""A run is within a scope when its thread is, or was when it lived."""


def within(column: str = "metadata", scope: str = "scope") -> str:
    """Whether a record is within a scope."""
    return f"(:{scope} IS NULL OR lgs_within({column}, :{scope}))"
