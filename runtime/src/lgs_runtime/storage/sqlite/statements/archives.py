"""Statements that read and restore whole records of threads."""

from __future__ import annotations

from typing import Final

from lgs_runtime.storage.archives import TABLES
from lgs_runtime.storage.sqlite.statements.audit import PRESENT

THREAD: Final = "SELECT * FROM lgs_thread WHERE thread_id = ?"

RUNS: Final = """
SELECT * FROM lgs_run
WHERE thread_id = :thread_id AND ended_at IS NOT NULL AND NOT delete_thread_after ORDER BY seq
"""

VERSIONS: Final = "SELECT * FROM lgs_version WHERE thread_id = :thread_id ORDER BY version"

AUDIT: Final = f"SELECT * FROM lgs_audit WHERE thread_id = :thread_id AND {PRESENT} ORDER BY seq"

THREAD_IDS: Final = "SELECT thread_id FROM lgs_thread WHERE thread_id > ? ORDER BY thread_id LIMIT ?"

RUN: Final = "SELECT 1 FROM lgs_run WHERE run_id = ?"

_QUOTED: Final = {table: [f'"{name}"' for name in columns] for table, columns in TABLES.items()}

INSERT: Final = {
    table: f"INSERT INTO lgs_{table} ({', '.join(_QUOTED[table])}) VALUES ({', '.join('?' * len(columns))})"
    for table, columns in TABLES.items()
}
