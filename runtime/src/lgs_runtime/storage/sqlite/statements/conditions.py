"""Conditions on a row that many statements share."""

from __future__ import annotations

from typing import Final

REMEMBERED_SECONDS: Final = 60.0
"""Seconds after the end of a replica's lease during which its graphs still count as served: it may be back at
once."""


def lease_holds(seconds_ago: float = 0.0) -> str:
    """Whether the lease `p` holds, or ended less than `seconds_ago` seconds ago."""
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
"""A run without a delay is due when it is made, even if the clock is set back after that."""

PIN_OF_RUN: Final = """
    coalesce(r.pin, (SELECT t.pin FROM lgs_thread t
                     WHERE t.thread_id = r.thread_id AND t.rest = 'interrupted'))
"""
"""The revision that the run `r` is pinned to; null: none."""

HAS: Final = f"""
    (r.graph_id IS NULL OR :graphs IS NULL OR r.graph_id IN (SELECT value FROM json_each(:graphs)))
    AND (:part IS NULL OR lgs_takes(:part, r.graph_id, r.thread_id))
    AND (:pinning IS NULL OR coalesce({PIN_OF_RUN} = :revision, :pinning = 'open'))
"""
"""Whether the asking replica takes a run. `:graphs` are the graphs that it asks for or takes (null: any),
`:part` is what it takes beside a canary (`canary.Part`; null: all), `:pinning` and `:revision` are its
lease's."""

RUN_WITHIN: Final = """
    (:scope IS NULL OR lgs_within(
        coalesce((SELECT metadata FROM lgs_thread t WHERE t.thread_id = r.thread_id), r.thread_metadata),
        :scope))
"""
"""A run is within a scope when its thread is, or was while it existed."""


def within(column: str = "metadata", scope: str = "scope") -> str:
    """Whether a record is within a scope."""
    return f"(:{scope} IS NULL OR lgs_within({column}, :{scope}))"
