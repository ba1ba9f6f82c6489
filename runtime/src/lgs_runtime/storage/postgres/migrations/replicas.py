"""Changes of the tables for replicas: the id of the database that they use, and canaries."""

from __future__ import annotations

from typing import Final

CANARIES: Final = """
-- revision: what the replica runs. share: of the threads, in percent, whose runs it takes as a canary, null:
-- it is none. leaving: it claims no more.
ALTER TABLE lgs_replica ADD COLUMN revision text;
ALTER TABLE lgs_replica ADD COLUMN share smallint;
ALTER TABLE lgs_replica ADD COLUMN leaving boolean NOT NULL DEFAULT false;
"""

FAMILIES: Final = """
-- kept: the families of other tables (of the checkpointer, of the store) that this database has had, with
-- spaces between them: without their tables it is incomplete.
ALTER TABLE lgs_database ADD COLUMN kept text NOT NULL DEFAULT '';
"""

DATABASE: Final = """
-- One row: by its id a replica knows this database from another one.
CREATE TABLE lgs_database (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    id      text NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO lgs_database (id) VALUES (gen_random_uuid()::text);
"""
