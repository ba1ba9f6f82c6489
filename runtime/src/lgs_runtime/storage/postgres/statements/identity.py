"""Statements that tell a database from another one, from an empty one, and from one that is not whole."""

from __future__ import annotations

from typing import Final

from lgs_runtime.storage.identity import Families
from lgs_runtime.storage.tables import CHECKPOINTS, OWN, STORE, VECTORS, columns

FAMILIES: Final[Families] = {
    CHECKPOINTS: {
        "checkpoint_migrations": columns("v"),
        "checkpoints": columns(
            "thread_id checkpoint_ns checkpoint_id parent_checkpoint_id type checkpoint metadata"
        ),
        "checkpoint_blobs": columns("thread_id checkpoint_ns channel version type blob"),
        "checkpoint_writes": columns(
            "thread_id checkpoint_ns checkpoint_id task_id task_path idx channel type blob"
        ),
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

NAMES: Final = (*OWN, *(table for tables in FAMILIES.values() for table in tables))
ONLY_READ: Final = ("lgs_migration", "checkpoint_migrations", "store_migrations", "vector_migrations")
"""Tables that are written only when tables are made."""
APPENDED: Final = ("lgs_audit",)
"""A table of which an administrator may take rights from the role."""

LOOK: Final = f"""
SELECT t.relname AS name, t.relkind IN ('r', 'p') AS is_table, t.relnamespace::regnamespace::text AS schema,
    EXISTS (SELECT FROM pg_index i WHERE i.indrelid = t.oid AND i.indisprimary AND i.indisvalid) AS has_key,
    ARRAY(SELECT a.attname::text FROM pg_attribute a
          WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
    (SELECT h.relnamespace::regnamespace::text FROM pg_class h
     WHERE h.relname = t.relname AND h.oid <> t.oid
       AND h.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('lgs_database'))
    ) AS hidden,
    NOT (has_table_privilege(t.oid, 'SELECT')
         AND (t.relname = ANY('{{{",".join(ONLY_READ)}}}')
              OR has_table_privilege(t.oid, 'INSERT') AND has_table_privilege(t.oid, 'UPDATE')
                 AND has_table_privilege(t.oid, 'DELETE'))
         OR t.relname = ANY('{{{",".join(APPENDED)}}}'))
    OR row_security_active(t.oid) AND NOT EXISTS (
        SELECT FROM pg_policy p
        WHERE p.polrelid = t.oid AND p.polpermissive AND p.polcmd IN ('*', 'r')
          AND EXISTS (SELECT FROM unnest(p.polroles) AS of (role)
                      WHERE of.role = 0 OR pg_has_role(of.role, 'USAGE'))
    ) AS denied
FROM unnest('{{{",".join(NAMES)}}}'::text[]) AS wanted (name)
JOIN pg_class t ON t.oid = to_regclass(wanted.name)
"""
"""What has the names of tables, where the role's `search_path` leads. Of policies those count that let the
role see rows; role 0 is each."""
ENCODING: Final = "SELECT current_setting('server_encoding')"
ID: Final = "SELECT id FROM lgs_database"
KEPT: Final = "SELECT id, kept FROM lgs_database"
ELSEWHERE: Final = """
SELECT relnamespace::regnamespace::text AS schema FROM pg_class
WHERE relname = 'lgs_database' AND relkind IN ('r', 'p') ORDER BY 1
"""
NOTE_FAMILY: Final = """
UPDATE lgs_database SET kept = trim(kept || ' ' || $1) WHERE NOT $1 = ANY (string_to_array(kept, ' '))
"""
