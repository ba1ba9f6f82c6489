"""Changes about what is spent of budgets."""

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
