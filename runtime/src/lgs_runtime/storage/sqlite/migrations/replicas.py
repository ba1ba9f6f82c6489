"""Changes of the tables for replicas: their leases, canaries, the id of the database that they use, and
revisions that threads are pinned to."""

from __future__ import annotations

from typing import Final

STEADY_LEASES: Final = """
-- held_from, held_until: the lease by the machine's monotonic clock, null: a replica of an earlier release,
-- whose lease is by the wall clock alone.
ALTER TABLE lgs_replica ADD COLUMN held_from REAL;
ALTER TABLE lgs_replica ADD COLUMN held_until REAL
"""
CANARIES: Final = """
-- revision: what the replica runs. share: of the threads, in percent, whose runs it takes as a canary, null:
-- it is none. leaving: it claims no more.
ALTER TABLE lgs_replica ADD COLUMN revision TEXT;
ALTER TABLE lgs_replica ADD COLUMN share INTEGER;
ALTER TABLE lgs_replica ADD COLUMN leaving INTEGER NOT NULL DEFAULT 0
"""
FAMILIES: Final = """
-- kept: the families of other tables (of the checkpointer, of the store) that this database has had, with
-- spaces between them: without their tables it is incomplete.
ALTER TABLE lgs_database ADD COLUMN kept TEXT NOT NULL DEFAULT ''
"""

DATABASE: Final = """
-- One row: by its id a replica knows this database from another one.
CREATE TABLE lgs_database (one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL, made_at REAL NOT NULL);
INSERT INTO lgs_database VALUES (1, lower(hex(randomblob(16))), CAST(strftime('%s', 'now') AS REAL))
"""
PINS: Final = """
-- pin: the revision that executes the run, or that the interrupted thread waits for, null: any.
-- pinning: open: the replica takes what is pinned to its revision or to none; closed: only the former; null:
-- it takes no account of pins.
ALTER TABLE lgs_run ADD COLUMN pin TEXT;
ALTER TABLE lgs_thread ADD COLUMN pin TEXT;
ALTER TABLE lgs_replica ADD COLUMN pinning TEXT;
CREATE INDEX lgs_thread_pin ON lgs_thread (pin) WHERE pin IS NOT NULL;
-- What is pinned to each revision, as counted at seen_at, and for how long no replica of it was there then.
CREATE TABLE lgs_revision (
    revision       TEXT PRIMARY KEY,
    threads        INTEGER NOT NULL,
    runs           INTEGER NOT NULL,
    absent_seconds REAL NOT NULL,
    seen_at        REAL NOT NULL
)
"""
