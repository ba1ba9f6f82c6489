"""Statements on whole threads: the history of delta channels, deleting, copying and pruning."""

from __future__ import annotations

from typing import Final

_WALK: Final = """
-- Row by row from the parent of a checkpoint to its ancestors, with the channels whose stored value has not
-- been met: a value is a blob of the channel's version, or stands in the checkpoint's JSON. Each row is
-- looked up by its key: a plain join is planned for short threads, and reads all of a long one.
WITH RECURSIVE walk AS (
    SELECT 0 AS depth, c.parent_checkpoint_id AS checkpoint_id, $4::text[] AS missing
    FROM checkpoints c
    WHERE c.thread_id = $1 AND c.checkpoint_ns = $2 AND c.checkpoint_id = $3
  UNION ALL
    SELECT w.depth + 1, nullif(a.parent_checkpoint_id, a.checkpoint_id), ARRAY(
        SELECT m.channel FROM unnest(w.missing) AS m(channel)
        WHERE coalesce(a.checkpoint -> 'channel_values' -> m.channel, 'null') = 'null'
          AND NOT EXISTS (
              SELECT FROM checkpoint_blobs b
              WHERE b.thread_id = $1 AND b.checkpoint_ns = $2 AND b.channel = m.channel
                AND b.version = a.checkpoint -> 'channel_versions' ->> m.channel AND b.type <> 'empty'))
    FROM walk w
    CROSS JOIN LATERAL (
        SELECT k.checkpoint_id, k.parent_checkpoint_id, k.checkpoint FROM checkpoints k
        WHERE k.thread_id = $1 AND k.checkpoint_ns = $2 AND k.checkpoint_id = w.checkpoint_id
        LIMIT 1
    ) AS a
    WHERE cardinality(w.missing) > 0
)
"""
DELTA_HISTORY: Final = f"""
{_WALK}
SELECT w.depth, cw.channel, cw.task_path, cw.task_id, cw.idx, cw.type, cw.blob, NULL AS plain
FROM walk w
CROSS JOIN LATERAL (
    SELECT * FROM checkpoint_writes k
    WHERE k.thread_id = $1 AND k.checkpoint_ns = $2
      AND k.checkpoint_id = w.checkpoint_id AND k.channel = ANY(w.missing)
    OFFSET 0
) AS cw
UNION ALL
SELECT w.depth, m.channel, NULL, NULL, NULL, b.type, b.blob,
       (c.checkpoint -> 'channel_values' -> m.channel)::text
FROM walk w
CROSS JOIN LATERAL (
    SELECT k.checkpoint FROM checkpoints k
    WHERE k.thread_id = $1 AND k.checkpoint_ns = $2 AND k.checkpoint_id = w.checkpoint_id
    LIMIT 1
) AS c
CROSS JOIN unnest(w.missing) AS m(channel)
LEFT JOIN LATERAL (
    SELECT k.version, k.type, k.blob FROM checkpoint_blobs k
    WHERE k.thread_id = $1 AND k.checkpoint_ns = $2 AND k.channel = m.channel
      AND k.version = c.checkpoint -> 'channel_versions' ->> m.channel AND k.type <> 'empty'
    LIMIT 1
) AS b ON true
WHERE b.version IS NOT NULL OR c.checkpoint -> 'channel_values' ->> m.channel IS NOT NULL
"""
ANCESTORS_NEEDED: Final = f"{_WALK} SELECT checkpoint_id FROM walk WHERE cardinality(missing) > 0"

DELETE_THREADS: Final = """
WITH writes AS (DELETE FROM checkpoint_writes WHERE thread_id = ANY($1::text[])),
     blobs AS (DELETE FROM checkpoint_blobs WHERE thread_id = ANY($1::text[]))
DELETE FROM checkpoints WHERE thread_id = ANY($1::text[])
"""
_DELETE_WRITES_OF_RUNS: Final = """
DELETE FROM checkpoint_writes w USING checkpoints c
WHERE c.metadata ->> 'run_id' = ANY($1::text[]) AND {thread}
  AND w.thread_id = c.thread_id AND w.checkpoint_ns = c.checkpoint_ns AND w.checkpoint_id = c.checkpoint_id
"""
_DELETE_RUNS: Final = """
-- What is still needed is gathered once: a look for each value would read the whole thread each time.
WITH gone AS (
    DELETE FROM checkpoints c
    WHERE c.metadata ->> 'run_id' = ANY($1::text[]) AND {thread}
    RETURNING c.thread_id, c.checkpoint_ns, c.checkpoint -> 'channel_versions' AS versions
), freed AS (
    SELECT g.thread_id, g.checkpoint_ns, v.key, v.value
    FROM gone g CROSS JOIN LATERAL jsonb_each_text(g.versions) AS v
    EXCEPT
    SELECT c.thread_id, c.checkpoint_ns, v.key, v.value
    FROM (SELECT DISTINCT thread_id, checkpoint_ns FROM gone) AS n
    JOIN checkpoints c ON c.thread_id = n.thread_id AND c.checkpoint_ns = n.checkpoint_ns
      AND (c.metadata ->> 'run_id' = ANY($1::text[])) IS NOT TRUE
    CROSS JOIN LATERAL jsonb_each_text(c.checkpoint -> 'channel_versions') AS v
)
DELETE FROM checkpoint_blobs b USING freed f
WHERE b.thread_id = f.thread_id AND b.checkpoint_ns = f.checkpoint_ns
  AND b.channel = f.key AND b.version = f.value
"""
# Two texts, since a plan that serves a thread and all threads reads the whole table for either.
DELETE_WRITES_OF_RUNS: Final = _DELETE_WRITES_OF_RUNS.format(thread="c.thread_id = $2")
DELETE_RUNS: Final = _DELETE_RUNS.format(thread="c.thread_id = $2")
DELETE_WRITES_OF_RUNS_ANYWHERE: Final = _DELETE_WRITES_OF_RUNS.format(thread="true")
DELETE_RUNS_ANYWHERE: Final = _DELETE_RUNS.format(thread="true")
COPY_THREAD: Final = """
WITH blobs AS (
    INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
    SELECT $2, checkpoint_ns, channel, version, type, blob
    FROM checkpoint_blobs WHERE thread_id = $1 ON CONFLICT DO NOTHING
), writes AS (
    INSERT INTO checkpoint_writes
        (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
    SELECT $2, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob
    FROM checkpoint_writes WHERE thread_id = $1 ON CONFLICT DO NOTHING
)
INSERT INTO checkpoints
    (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata)
SELECT $2, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata
FROM checkpoints WHERE thread_id = $1 ON CONFLICT DO NOTHING
"""

# Pruning never joins two sets of a thread's rows: plans of such joins are worst for the few huge threads that
# are worth it. Rows are found by their keys.
PRUNE_HEADS: Final = """
SELECT h.checkpoint_ns, h.checkpoint_id AS head,
    CASE WHEN (c.checkpoint ->> 'v')::int < 4 AND EXISTS (
        SELECT FROM checkpoint_writes w
        WHERE w.thread_id = $1 AND w.checkpoint_ns = h.checkpoint_ns
          AND w.checkpoint_id = c.parent_checkpoint_id AND w.channel = '__pregel_tasks'
    ) THEN c.parent_checkpoint_id END AS sends_parent,
    c.metadata -> 'parents' ->> '' AS root,
    EXISTS (
        SELECT FROM checkpoints r
        WHERE r.thread_id = $1 AND r.checkpoint_ns = ''
          AND r.checkpoint_id = c.metadata -> 'parents' ->> ''
    ) AS root_saved,
    c.metadata ? 'delta_writes_versioned' AS foreign_deltas,
    ARRAY(
        SELECT jsonb_object_keys(c.metadata -> 'counters_since_delta_snapshot')
        WHERE jsonb_typeof(c.metadata -> 'counters_since_delta_snapshot') = 'object'
    ) AS deltas
FROM (
    SELECT DISTINCT ON (checkpoint_ns) checkpoint_ns, checkpoint_id
    FROM checkpoints WHERE thread_id = $1
    ORDER BY checkpoint_ns DESC, checkpoint_id DESC
) AS h
CROSS JOIN LATERAL (
    SELECT checkpoint, parent_checkpoint_id, metadata FROM checkpoints
    WHERE thread_id = $1 AND checkpoint_ns = h.checkpoint_ns AND checkpoint_id = h.checkpoint_id
) AS c
"""
PRUNE_CHECKPOINTS: Final = """
WITH gone AS (
    DELETE FROM checkpoints
    WHERE thread_id = $1 AND checkpoint_ns = $2 AND checkpoint_id <> ALL($3::text[])
    RETURNING checkpoint_id, checkpoint -> 'channel_versions' AS versions
)
SELECT g.checkpoint_id, ARRAY(SELECT key FROM jsonb_each_text(g.versions)) AS channels,
       ARRAY(SELECT value FROM jsonb_each_text(g.versions)) AS versions
FROM gone g
"""
PRUNE_WRITES: Final = """
DELETE FROM checkpoint_writes
WHERE thread_id = $1 AND checkpoint_ns = $2 AND checkpoint_id = ANY($3::text[])
"""
PRUNE_PARENTS: Final = """
UPDATE checkpoints SET parent_checkpoint_id = NULL
WHERE thread_id = $1 AND checkpoint_ns = $2
  AND checkpoint_id = ANY($3::text[]) AND parent_checkpoint_id <> ALL($3::text[])
"""
PRUNE_REFERENCED: Final = """
SELECT DISTINCT v.key AS channel, v.value AS version
FROM checkpoints c CROSS JOIN LATERAL jsonb_each_text(c.checkpoint -> 'channel_versions') AS v
WHERE c.thread_id = $1 AND c.checkpoint_ns = $2
"""
PRUNE_BLOBS: Final = """
DELETE FROM checkpoint_blobs
WHERE thread_id = $1 AND checkpoint_ns = $2
  AND (channel, version) IN (SELECT * FROM unnest($3::text[], $4::text[]))
"""
PRUNE_CALLS: Final = """
WITH writes AS (
         DELETE FROM checkpoint_writes WHERE thread_id = $1 AND checkpoint_ns = ANY($2::text[])),
     blobs AS (DELETE FROM checkpoint_blobs WHERE thread_id = $1 AND checkpoint_ns = ANY($2::text[]))
DELETE FROM checkpoints WHERE thread_id = $1 AND checkpoint_ns = ANY($2::text[])
"""
