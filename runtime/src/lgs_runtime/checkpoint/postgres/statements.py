"""The frequent statements on checkpoints, and the tables, which are those of langgraph-checkpoint-postgres.

A group of writes is always one statement: one round trip and one commit. Its arguments are columns (arrays of
equal length), not rows. JSON is passed as text, so that no codec need be set on a connection.
"""

from __future__ import annotations

from functools import cache
from typing import Final

MIGRATIONS: Final = (
    "CREATE TABLE IF NOT EXISTS checkpoint_migrations (v INTEGER PRIMARY KEY)",
    """
    CREATE TABLE IF NOT EXISTS checkpoints (
        thread_id TEXT NOT NULL,
        checkpoint_ns TEXT NOT NULL DEFAULT '',
        checkpoint_id TEXT NOT NULL,
        parent_checkpoint_id TEXT,
        type TEXT,
        checkpoint JSONB NOT NULL,
        metadata JSONB NOT NULL DEFAULT '{}',
        PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS checkpoint_blobs (
        thread_id TEXT NOT NULL,
        checkpoint_ns TEXT NOT NULL DEFAULT '',
        channel TEXT NOT NULL,
        version TEXT NOT NULL,
        type TEXT NOT NULL,
        blob BYTEA,
        PRIMARY KEY (thread_id, checkpoint_ns, channel, version)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS checkpoint_writes (
        thread_id TEXT NOT NULL,
        checkpoint_ns TEXT NOT NULL DEFAULT '',
        checkpoint_id TEXT NOT NULL,
        task_id TEXT NOT NULL,
        idx INTEGER NOT NULL,
        channel TEXT NOT NULL,
        type TEXT,
        blob BYTEA NOT NULL,
        PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id, task_id, idx)
    )
    """,
    "ALTER TABLE checkpoint_blobs ALTER COLUMN blob DROP NOT NULL",
    # Does nothing in the official list either; it keeps the numbers of the later ones.
    "SELECT 1",
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS checkpoints_thread_id_idx ON checkpoints(thread_id)",
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS checkpoint_blobs_thread_id_idx ON checkpoint_blobs(thread_id)",
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS checkpoint_writes_thread_id_idx ON checkpoint_writes(thread_id)",
    "ALTER TABLE checkpoint_writes ADD COLUMN IF NOT EXISTS task_path TEXT NOT NULL DEFAULT ''",
)
"""The official migrations by number. A test compares them with the installed official package."""

HAS_MIGRATIONS: Final = "SELECT to_regclass('checkpoint_migrations') IS NOT NULL"
MIGRATED: Final = "SELECT max(v) FROM checkpoint_migrations"
NOTE_MIGRATION: Final = "INSERT INTO checkpoint_migrations (v) VALUES ($1) ON CONFLICT DO NOTHING"

BLOBS: Final = """
INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
SELECT * FROM unnest({})
ON CONFLICT (thread_id, checkpoint_ns, channel, version) DO NOTHING
"""
_WRITES: Final = """
INSERT INTO checkpoint_writes
    (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
SELECT * FROM unnest({})
ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id, task_id, idx)
"""
NEW_WRITES: Final = f"{_WRITES} DO NOTHING"
REPLACED_WRITES: Final = f"""
{_WRITES} DO UPDATE SET channel = EXCLUDED.channel, type = EXCLUDED.type, blob = EXCLUDED.blob
"""
CHECKPOINTS: Final = """
INSERT INTO checkpoints
    (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata)
SELECT t, n, i, p, c::jsonb, m::jsonb FROM unnest({}) AS u(t, n, i, p, c, m)
ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id)
DO UPDATE SET checkpoint = EXCLUDED.checkpoint, metadata = EXCLUDED.metadata
"""

_WRITE_TYPES: Final = ("text",) * 5 + ("int4", "text", "text", "bytea")
GROUP: Final = (
    (BLOBS, ("text",) * 5 + ("bytea",)),
    (NEW_WRITES, _WRITE_TYPES),
    (REPLACED_WRITES, _WRITE_TYPES),
    (CHECKPOINTS, ("text",) * 6),
)
"""The parts that a group of writes may have: the statement of each, and the types of its columns."""


@cache
def group_statement(parts: tuple[int, ...]) -> str:
    """One statement that stores the parts of `GROUP` with these indices. It takes their columns, in order."""
    number, texts = 0, []
    for part in parts:
        text, types = GROUP[part]
        columns = (f"${number + at}::{name}[]" for at, name in enumerate(types, 1))
        texts.append(text.format(", ".join(columns)))
        number += len(types)
    *before, last = texts
    named = ", ".join(f"part{at} AS ({text})" for at, text in enumerate(before))
    return f"WITH {named} {last}" if before else last


_CONTENT: Final = """
    c.thread_id, c.checkpoint_ns, c.checkpoint_id, c.parent_checkpoint_id,
    c.checkpoint::text AS checkpoint, c.metadata::text AS metadata,
    b.channels, b.types, b.blobs,
    w.task_ids, w.write_channels, w.write_types, w.write_blobs, w.task_paths, w.idxs,
    s.send_types, s.send_blobs
"""
_PARTS: Final = """
LEFT JOIN LATERAL (
    SELECT array_agg(bl.channel) AS channels, array_agg(bl.type) AS types, array_agg(bl.blob) AS blobs
    FROM jsonb_each_text(c.checkpoint -> 'channel_versions') AS v
    -- Most threads are short, and a plan is made for those: by a plain join it reads all values of a thread
    -- for each checkpoint. With the limit it looks each value up by its key.
    CROSS JOIN LATERAL (
        SELECT k.channel, k.type, k.blob FROM checkpoint_blobs k
        WHERE k.thread_id = c.thread_id AND k.checkpoint_ns = c.checkpoint_ns
          AND k.channel = v.key AND k.version = v.value
        LIMIT 1
    ) AS bl
) AS b ON true
LEFT JOIN LATERAL (
    SELECT array_agg(cw.task_id) AS task_ids, array_agg(cw.channel) AS write_channels,
           array_agg(cw.type) AS write_types, array_agg(cw.blob) AS write_blobs,
           array_agg(cw.task_path) AS task_paths, array_agg(cw.idx) AS idxs
    FROM checkpoint_writes cw
    WHERE cw.thread_id = c.thread_id AND cw.checkpoint_ns = c.checkpoint_ns
      AND cw.checkpoint_id = c.checkpoint_id
) AS w ON true
LEFT JOIN LATERAL (
    -- Checkpoints of formats before 4 have what was sent to the next step among their parent's writes.
    SELECT array_agg(cw.type ORDER BY cw.task_path, cw.task_id, cw.idx) AS send_types,
           array_agg(cw.blob ORDER BY cw.task_path, cw.task_id, cw.idx) AS send_blobs
    FROM checkpoint_writes cw
    WHERE (c.checkpoint ->> 'v')::int < 4 AND cw.thread_id = c.thread_id
      AND cw.checkpoint_ns = c.checkpoint_ns AND cw.checkpoint_id = c.parent_checkpoint_id
      AND cw.channel = '__pregel_tasks'
) AS s ON true
"""

LATEST: Final = f"""
SELECT q.place, {_CONTENT}
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS q(thread_id, checkpoint_ns, place)
CROSS JOIN LATERAL (
    SELECT * FROM checkpoints k
    WHERE k.thread_id = q.thread_id AND k.checkpoint_ns = q.checkpoint_ns
    ORDER BY k.checkpoint_id DESC LIMIT 1
) AS c
{_PARTS}
"""
EXACT: Final = f"""
SELECT q.place, {_CONTENT}
FROM unnest($1::text[], $2::text[], $3::text[])
     WITH ORDINALITY AS q(thread_id, checkpoint_ns, checkpoint_id, place)
JOIN LATERAL (
    SELECT * FROM checkpoints k
    WHERE k.thread_id = q.thread_id AND k.checkpoint_ns = q.checkpoint_ns
      AND k.checkpoint_id = q.checkpoint_id
    LIMIT 1
) AS c ON true
{_PARTS}
"""
LIST: Final = f"""
SELECT {_CONTENT}
FROM (
    SELECT * FROM checkpoints {{where}}
    ORDER BY checkpoint_id DESC, thread_id DESC, checkpoint_ns DESC LIMIT {{limit}}
) AS c
{_PARTS}
ORDER BY c.checkpoint_id DESC, c.thread_id DESC, c.checkpoint_ns DESC
"""
KEYS: Final = """
SELECT thread_id, checkpoint_ns, checkpoint_id FROM checkpoints {where}
ORDER BY checkpoint_id DESC, thread_id DESC, checkpoint_ns DESC LIMIT {limit}
"""
