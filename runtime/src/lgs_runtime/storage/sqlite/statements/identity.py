"""Statements that tell a database from another one, from an empty one, and from one that is not whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lgs_runtime.storage.identity import Families
from lgs_runtime.storage.tables import CHECKPOINTS, STORE, VECTORS, columns

FAMILIES: Final[Families] = {
    CHECKPOINTS: {
        "checkpoints": columns(
            "thread_id checkpoint_ns checkpoint_id parent_checkpoint_id type checkpoint metadata"
        ),
        "writes": columns("thread_id checkpoint_ns checkpoint_id task_id task_path idx channel type value"),
    },
    STORE: {
        "store_migrations": columns("v"),
        "store": columns("prefix key value created_at updated_at expires_at ttl_minutes"),
    },
    VECTORS: {
        "vector_migrations": columns("v"),
        "store_vectors": columns("prefix key field_name embedding created_at updated_at"),
    },
}
"""The tables of LangGraph's own packages."""

FILES: Final[Mapping[str, str]] = {CHECKPOINTS: "-checkpoints", STORE: "-store", VECTORS: "-store"}
"""What the path of the file that has a family adds to the path of the storage's own."""

LOOK: Final = """
SELECT t.name, t.type, c.name AS "column", c.pk > 0 AS of_key
FROM sqlite_master t JOIN pragma_table_xinfo(t.name) c
WHERE t.type IN ('table', 'view') AND t.name IN (SELECT value FROM json_each(?))
"""
"""What has one of the names of a JSON list. No other is looked at: the columns of a view that refers to a
lost table, or of a virtual table whose module is not loaded, can't be told."""
KEPT: Final = "SELECT id, kept FROM lgs_database"
NOTE_FAMILY: Final = """
UPDATE lgs_database SET kept = trim(kept || ' ' || ?1) WHERE instr(' ' || kept || ' ', ' ' || ?1 || ' ') = 0
"""
