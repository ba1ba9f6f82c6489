"""Statements on the spending of budgets."""

from __future__ import annotations

from typing import Final

BUCKETS_BACK: Final = 60

NEW_NUMBER: Final = """
INSERT INTO lgs_spender (writer, number, written_at) VALUES (:writer, :number, :now)
ON CONFLICT (writer) DO UPDATE SET number = excluded.number, written_at = excluded.written_at
WHERE number < excluded.number
RETURNING 1
"""

ADD_SPENT: Final = """
INSERT INTO lgs_spent (who, seconds, bucket, tokens, cost)
VALUES (:who, :seconds, CAST(:now / :seconds AS INTEGER), :tokens, :cost)
ON CONFLICT (who, seconds, bucket) DO UPDATE
SET tokens = min(tokens + excluded.tokens, 1e15), cost = min(cost + excluded.cost, 1e15)
"""

SPENT: Final = f"""
SELECT s.who, s.seconds, s.bucket, s.tokens, s.cost
FROM json_each(:who) AS one, json_each(:seconds) AS size
JOIN lgs_spent s
    ON s.who = one.value AND s.seconds = size.value
   AND s.bucket >= max(CAST(:now / s.seconds AS INTEGER) - {BUCKETS_BACK},
                       CAST(:since / s.seconds AS INTEGER))
"""

EXPIRE_SPENT: Final = f"""
DELETE FROM lgs_spent
WHERE seconds = :seconds AND bucket < CAST(:now / :seconds AS INTEGER) - {BUCKETS_BACK}
"""

EXPIRE_SPENDERS: Final = "DELETE FROM lgs_spender WHERE written_at < :now - 86400"
