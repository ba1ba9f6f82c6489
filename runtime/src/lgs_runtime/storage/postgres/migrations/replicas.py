"""Changes of the tables for replicas: the id of the database that they use, canaries, and revisions that
threads are pinned to."""

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

PINS: Final = """
-- pin: the revision that executes the run, or that the interrupted thread waits for, null: any.
-- pinning: open: the replica takes what is pinned to its revision or to none; closed: only the former; null:
-- it takes no account of pins.
ALTER TABLE lgs_run ADD COLUMN pin text;
ALTER TABLE lgs_thread ADD COLUMN pin text;
ALTER TABLE lgs_replica ADD COLUMN pinning text;
CREATE INDEX lgs_thread_pin ON lgs_thread (pin) WHERE pin IS NOT NULL;
CREATE INDEX lgs_run_pin ON lgs_run (pin) WHERE status = 'pending' AND pin IS NOT NULL;
-- What is pinned to each revision, as counted at seen_at, and for how long no replica of it was there then.
CREATE TABLE lgs_revision (
    revision       text PRIMARY KEY,
    threads        bigint NOT NULL,
    runs           bigint NOT NULL,
    absent_seconds double precision NOT NULL,
    seen_at        timestamptz NOT NULL
);
"""
