"""Changes about replicas: their leases, and the id of the database that they use."""

from __future__ import annotations

from typing import Final

STEADY_LEASES: Final = """
-- held_from, held_until: the lease by the machine's monotonic clock, null: a replica of an earlier release,
-- whose lease is by the wall clock alone.
ALTER TABLE lgs_replica ADD COLUMN held_from REAL;
ALTER TABLE lgs_replica ADD COLUMN held_until REAL
"""
DATABASE: Final = """
-- One row: by its id a replica knows this database from another one.
CREATE TABLE lgs_database (one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL, made_at REAL NOT NULL);
INSERT INTO lgs_database VALUES (1, lower(hex(randomblob(16))), CAST(strftime('%s', 'now') AS REAL))
"""
