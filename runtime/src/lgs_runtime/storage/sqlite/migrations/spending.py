"""Changes of the tables for the spending of budgets."""

from __future__ import annotations

from typing import Final

SPENT: Final = """
-- What models have cost, by who spent it, in buckets of so many seconds since the epoch.
CREATE TABLE lgs_spent (
    who     TEXT NOT NULL,
    seconds INTEGER NOT NULL,
    bucket  INTEGER NOT NULL,
    tokens  REAL NOT NULL,
    cost    REAL NOT NULL,
    PRIMARY KEY (who, seconds, bucket)
) WITHOUT ROWID;
CREATE INDEX lgs_spent_bucket ON lgs_spent (seconds, bucket)
"""

SPENDERS: Final = """
-- The number of what each process that writes to lgs_spent added last, so that nothing is added twice.
CREATE TABLE lgs_spender (
    writer     TEXT PRIMARY KEY,
    number     INTEGER NOT NULL,
    written_at REAL NOT NULL
) WITHOUT ROWID
"""
