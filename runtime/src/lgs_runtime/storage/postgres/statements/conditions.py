"""Conditions on a row that many statements share."""

from __future__ import annotations

from typing import Final

from lgs_runtime.storage.canary import BUCKETS


def run_within(scope: str) -> str:
    """Whether the run `r` is within the scope in parameter `scope`: its thread is, or was while it
    existed."""
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
"""For statements that read few runs: OFFSET keeps the planner from joining all that run or wait."""


def has(graph: str, graphs: str) -> str:
    """Whether a graph is among those that a replica has; also true when the graph or the list is not known.
    In this form the planner expects it to be true as a rule, and reads in the order of the line."""
    return f"coalesce({graph} = ANY(({graphs})::text[]), true)"


def asker(replica: str, graphs: str = "own.graphs") -> str:
    """The lease of a replica that asks for runs: the graphs that it takes, how it takes pinned threads, and
    its part beside a canary, as in `canary.part_of`. `high` null: it takes all."""
    return f"""
    SELECT {graphs} AS graphs, own.revision, own.pinning, part.salt, part.low, part.high, part.others
    FROM lgs_replica own LEFT JOIN LATERAL (
        SELECT coalesce(c.revision, '') AS salt,
               CASE WHEN own.share IS NULL THEN c.share ELSE 0 END AS low,
               CASE WHEN own.share IS NULL THEN {BUCKETS} ELSE c.share END AS high,
               (SELECT CASE WHEN bool_or(p.graphs IS NULL) THEN NULL
                            ELSE coalesce(array_agg(has.graph) FILTER (WHERE has.graph IS NOT NULL), '{{}}')
                       END
                FROM lgs_replica p LEFT JOIN LATERAL unnest(p.graphs) AS has (graph) ON true
                WHERE p.expires_at > now() AND NOT p.leaving
                  AND CASE WHEN own.share IS NULL THEN p.share IS NOT NULL OR p.revision = c.revision
                           ELSE p.share IS NULL END) AS others
        FROM (SELECT p.share, p.revision FROM lgs_replica p
              WHERE p.share IS NOT NULL AND p.expires_at > now() AND NOT p.leaving
              ORDER BY p.share DESC, p.revision DESC NULLS LAST LIMIT 1) c
        WHERE own.share IS NOT NULL OR coalesce(own.revision <> c.revision, true)
    ) part ON true
    WHERE own.replica = {replica} AND own.expires_at > now()"""


def takes(graph: str, thread: str) -> str:
    """Whether the `asker` takes a run of this graph and thread, as in `canary.takes`."""
    digest = f"sha256(convert_to((SELECT salt FROM asker) || {thread}, 'UTF8'))"
    bucket = f"('x' || substr(encode({digest}, 'hex'), 1, 4))::bit(16)::integer % {BUCKETS}"
    return f"""(coalesce({graph} = ANY((SELECT graphs FROM asker)::text[]), true) AND coalesce(
        (SELECT high FROM asker) IS NULL
        OR NOT coalesce({graph} = ANY((SELECT others FROM asker)::text[]), true)
        OR {bucket} >= (SELECT low FROM asker) AND {bucket} < (SELECT high FROM asker), true))"""


PIN_OF_RUN: Final = """
    coalesce(r.pin, (SELECT t.pin FROM lgs_thread t
                     WHERE t.thread_id = r.thread_id AND t.rest = 'interrupted'))
"""
"""The revision that the run `r` is pinned to; null: none."""

PIN_OF_ASKER: Final = "(SELECT CASE WHEN pinning IS NOT NULL THEN revision END FROM asker)"
"""The revision that a run is pinned to once the `asker` has claimed it."""


def keeps(pin: str) -> str:
    """Whether the `asker` takes a run that is pinned to this revision, as in `pins.keeps`. The pin is only
    looked up for a replica that takes account of it."""
    return f"""((SELECT pinning FROM asker) IS NULL
        OR coalesce({pin} = (SELECT revision FROM asker), (SELECT pinning FROM asker) = 'open'))"""


def within(parameter: int, column: str = "metadata") -> str:
    """Whether a record is within the scope in `$parameter`."""
    return f"(${parameter}::jsonb[] IS NULL OR {column} @> ANY(${parameter}))"
