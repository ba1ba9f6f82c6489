"""Statements on the spending of budgets."""

from __future__ import annotations

from typing import Final

BUCKETS_BACK: Final = 60

# Rows are written in one order, so replicas that add to the same rows wait for each other and don't deadlock.
# A retry waits for a first try that is still adding.
ADD_SPENT: Final = """
WITH new_number AS (
    INSERT INTO lgs_spender AS w (writer, number, written_at)
    VALUES ($6, $7, coalesce($5::timestamptz, now()))
    ON CONFLICT (writer) DO UPDATE SET number = excluded.number, written_at = excluded.written_at
    WHERE w.number < excluded.number
    RETURNING 1
)
INSERT INTO lgs_spent AS s (who, seconds, bucket, tokens, cost)
SELECT who, seconds, floor(extract(epoch FROM coalesce($5::timestamptz, now())) / seconds)::bigint,
       tokens, cost
FROM unnest($1::text[], $2::integer[], $3::float8[], $4::float8[]) AS new (who, seconds, tokens, cost)
WHERE EXISTS (SELECT 1 FROM new_number)
ORDER BY who, seconds
ON CONFLICT (who, seconds, bucket) DO UPDATE
SET tokens = least(s.tokens + excluded.tokens, 1e15), cost = least(s.cost + excluded.cost, 1e15)
"""

SPENT: Final = f"""
SELECT clock.at, s.who, s.seconds, s.bucket, s.tokens, s.cost
FROM (SELECT coalesce($3::timestamptz, now()) AS at) clock
LEFT JOIN lgs_spent s
    ON s.who = ANY($1::text[]) AND s.seconds = ANY($2::integer[])
   AND s.bucket >= greatest(floor(extract(epoch FROM clock.at) / s.seconds)::bigint - {BUCKETS_BACK},
                            floor($4::float8 / s.seconds)::bigint)
"""

EXPIRE_SPENT: Final = f"""
WITH gone AS (
    DELETE FROM lgs_spent s
    USING unnest($1::integer[]) AS old (seconds)
    WHERE s.seconds = old.seconds
      AND s.bucket < floor(extract(epoch FROM coalesce($2::timestamptz, now())) / old.seconds)::bigint
                     - {BUCKETS_BACK}
    RETURNING 1
),
silent AS (
    DELETE FROM lgs_spender WHERE written_at < coalesce($2::timestamptz, now()) - interval '1 day'
)
SELECT count(*) FROM gone
"""
