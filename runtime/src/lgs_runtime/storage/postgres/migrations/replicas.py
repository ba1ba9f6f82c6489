"""Changes about replicas: the id of the database that they use."""

from __future__ import annotations

from typing import Final

DATABASE: Final = """
-- One row: by its id a replica knows this database from another one.
CREATE TABLE lgs_database (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    id      text NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO lgs_database (id) VALUES (gen_random_uuid()::text);
"""
