"""Statements that read and restore whole records of threads."""

from __future__ import annotations

from typing import Final

from lgs_runtime.storage.archives import TABLES
from lgs_runtime.storage.postgres.statements.audit import PRESENT

THREAD: Final = "SELECT * FROM lgs_thread WHERE thread_id = $1"

RUNS: Final = """
SELECT * FROM lgs_run WHERE thread_id = $1 AND ended_at IS NOT NULL AND NOT delete_thread_after ORDER BY seq
"""

VERSIONS: Final = "SELECT * FROM lgs_version WHERE thread_id = $1 ORDER BY version"

AUDIT: Final = f"SELECT * FROM lgs_audit WHERE thread_id = $1 AND {PRESENT} ORDER BY seq"

THREAD_IDS: Final = "SELECT thread_id FROM lgs_thread WHERE thread_id > $1 ORDER BY thread_id LIMIT $2"

TAKEN_RUNS: Final = "SELECT run_id FROM lgs_run WHERE run_id = ANY($1::text[]) LIMIT 1"

INSERT: Final = {
    table: f"INSERT INTO lgs_{table} ({', '.join(columns)}) "
    f"VALUES ({', '.join(f'${place}' for place in range(1, len(columns) + 1))})"
    for table, columns in TABLES.items()
}

INSERT_THREAD: Final = f"{INSERT['thread']} ON CONFLICT DO NOTHING"
