"""What many statements ask of a row."""

from __future__ import annotations

from typing import Final


def run_within(scope: str) -> str:
    """Whether the run `r` is within the scope in parameter `scope`: its thread is, or was when it lived."""
    return f"""({scope}::jsonb[] IS NULL OR coalesce(
        (SELECT t.metadata FROM lgs_thread t WHERE t.thread_id = r.thread_id), r.thread_metadata
    ) @> ANY({scope}))"""


_CONDITION: Final = """
    r.status = 'pending' AND r.due_at <= now()
    AND NOT EXISTS (SELECT FROM lgs_run o WHERE o.thread_id = r.thread_id AND o.status = 'running' {hint})
    AND NOT EXISTS (SELECT FROM lgs_run o WHERE o.thread_id = r.thread_id AND o.status = 'pending'
                    AND o.seq < r.seq AND o.due_at <= now() {hint})
"""

CLAIMABLE: Final = _CONDITION.format(hint="")

CLAIMABLE_FEW: Final = _CONDITION.format(hint="OFFSET 0")
"""Where few runs are read: OFFSET keeps the planner from joining all that run or wait."""


def has(graph: str, graphs: str) -> str:
    """Whether a graph is among those that a replica has; also where one of them is not known. In this form
    the planner takes it to be true as a rule, and goes by the order of the line."""
    return f"coalesce({graph} = ANY(({graphs})::text[]), true)"


def within(parameter: int, column: str = "metadata") -> str:
    """Whether a record is within the scope in `$parameter`."""
    return f"(${parameter}::jsonb[] IS NULL OR {column} @> ANY(${parameter}))"
