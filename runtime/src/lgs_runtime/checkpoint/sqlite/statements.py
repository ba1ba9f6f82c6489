"""Every statement of the SQLite checkpointer, by name, on the tables of langgraph-checkpoint-sqlite."""

from __future__ import annotations

from functools import cache
from typing import Final

CREATE: Final = (
    """
    CREATE TABLE IF NOT EXISTS checkpoints (
        thread_id TEXT NOT NULL,
        checkpoint_ns TEXT NOT NULL DEFAULT '',
        checkpoint_id TEXT NOT NULL,
        parent_checkpoint_id TEXT,
        type TEXT,
        checkpoint BLOB,
        metadata BLOB,
        PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS writes (
        thread_id TEXT NOT NULL,
        checkpoint_ns TEXT NOT NULL DEFAULT '',
        checkpoint_id TEXT NOT NULL,
        task_id TEXT NOT NULL,
        task_path TEXT NOT NULL DEFAULT '',
        idx INTEGER NOT NULL,
        channel TEXT NOT NULL,
        type TEXT,
        value BLOB,
        PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id, task_id, idx)
    )
    """,
)

HAS_TASK_PATH: Final = "SELECT 1 FROM pragma_table_info('writes') WHERE name = 'task_path'"
"""Whether the table has the column `task_path`, which old versions of the official package did not create."""
ADD_TASK_PATH: Final = "ALTER TABLE writes ADD COLUMN task_path TEXT NOT NULL DEFAULT ''"

_CHECKPOINT_COLUMNS: Final = (
    "thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata"
)
_WRITE_COLUMNS: Final = (
    "thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, value"
)

PUT_CHECKPOINTS: Final = f"INSERT OR REPLACE INTO checkpoints ({_CHECKPOINT_COLUMNS}) VALUES "
ADD_WRITES: Final = f"INSERT OR IGNORE INTO writes ({_WRITE_COLUMNS}) VALUES "
REPLACE_WRITES: Final = f"INSERT OR REPLACE INTO writes ({_WRITE_COLUMNS}) VALUES "


@cache
def of_rows(insert: str, rows: int, columns: int) -> str:
    """One of the inserts above, for `rows` rows of `columns` columns."""
    return insert + ", ".join([f"({', '.join('?' * columns)})"] * rows)


EXACT: Final = f"""
SELECT {_CHECKPOINT_COLUMNS} FROM checkpoints
WHERE thread_id = ? AND checkpoint_ns = ? AND checkpoint_id = ?
"""

LATEST: Final = f"""
SELECT {_CHECKPOINT_COLUMNS} FROM checkpoints
WHERE thread_id = ? AND checkpoint_ns = ? ORDER BY checkpoint_id DESC LIMIT 1
"""

WRITES: Final = """
SELECT task_id, channel, type, value, task_path, idx FROM writes
WHERE thread_id = ? AND checkpoint_ns = ? AND checkpoint_id = ?
"""

CHANNEL_WRITES: Final = f"{WRITES} AND channel IN (SELECT value FROM json_each(?))"

LIST: Final = """
SELECT thread_id, checkpoint_ns, checkpoint_id FROM checkpoints {where} ORDER BY checkpoint_id DESC LIMIT ?
"""

DELETE_THREADS: Final = (
    "DELETE FROM checkpoints WHERE thread_id IN (SELECT value FROM json_each(:threads))",
    "DELETE FROM writes WHERE thread_id IN (SELECT value FROM json_each(:threads))",
)

_OF_RUN: Final = """
    SELECT thread_id, checkpoint_ns, checkpoint_id FROM checkpoints
    WHERE json_extract(CAST(metadata AS TEXT), '$.run_id') = :run AND (:thread IS NULL OR thread_id = :thread)
"""
DELETE_RUN: Final = (
    f"DELETE FROM writes WHERE (thread_id, checkpoint_ns, checkpoint_id) IN ({_OF_RUN})",
    f"DELETE FROM checkpoints WHERE (thread_id, checkpoint_ns, checkpoint_id) IN ({_OF_RUN})",
)

_OLD: Final = """
    SELECT thread_id, checkpoint_ns, checkpoint_id FROM checkpoints c
    WHERE thread_id = :thread AND (checkpoint_id < (
        SELECT max(l.checkpoint_id) FROM checkpoints l
        WHERE l.thread_id = c.thread_id AND l.checkpoint_ns = c.checkpoint_ns)
      OR (checkpoint_ns GLOB '*:*' AND EXISTS (
        SELECT 1 FROM checkpoints r JOIN checkpoints later USING (thread_id, checkpoint_ns)
        WHERE r.thread_id = c.thread_id AND r.checkpoint_ns = '' AND later.checkpoint_id > r.checkpoint_id
          AND r.checkpoint_id = json_extract(CAST(c.metadata AS TEXT), '$.parents.""'))))
"""
"""Checkpoints that are not the latest. A namespace with the id of a task belongs to a subgraph call, which is
deleted with the root checkpoint that it was made from."""
KEEP_LATEST: Final = (
    f"DELETE FROM writes WHERE (thread_id, checkpoint_ns, checkpoint_id) IN ({_OLD})",
    f"DELETE FROM checkpoints WHERE (thread_id, checkpoint_ns, checkpoint_id) IN ({_OLD})",
)

COPY_THREAD: Final = (
    """
    INSERT OR IGNORE INTO checkpoints
        (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata)
    SELECT :target, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata
    FROM checkpoints WHERE thread_id = :source
    """,
    """
    INSERT OR IGNORE INTO writes
        (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, value)
    SELECT :target, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, value
    FROM writes WHERE thread_id = :source
    """,
)
