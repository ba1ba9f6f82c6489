"""Changes of the tables for the spending of budgets."""

from __future__ import annotations

from typing import Final

SPENT: Final = """
-- What models have cost, by who spent it, in buckets of so many seconds since the epoch.
CREATE TABLE lgs_spent (
    who     text NOT NULL,
    seconds integer NOT NULL,
    bucket  bigint NOT NULL,
    tokens  double precision NOT NULL,
    cost    double precision NOT NULL,
    PRIMARY KEY (who, seconds, bucket)
);
CREATE INDEX lgs_spent_bucket ON lgs_spent (seconds, bucket);
"""

SPENDERS: Final = """
-- The number of what each process that writes to lgs_spent added last, so that nothing is added twice.
CREATE TABLE lgs_spender (
    writer     text PRIMARY KEY,
    number     bigint NOT NULL,
    written_at timestamptz NOT NULL
);
"""
