"""Changes of the tables for runs: stateless runs, webhooks, callers, fairness and graphs."""

from __future__ import annotations

from typing import Final

SPENT_THREADS: Final = """
-- Threads of stateless runs whose record is gone and whose checkpoints may not be.
CREATE TABLE lgs_spent_thread (
    thread_id TEXT PRIMARY KEY,
    spent_at  REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX lgs_spent_thread_spent ON lgs_spent_thread (spent_at)
"""

WEBHOOKS: Final = """

ALTER TABLE lgs_run ADD COLUMN webhook TEXT;

CREATE TABLE lgs_webhook (
    run_id   TEXT PRIMARY KEY REFERENCES lgs_run ON DELETE CASCADE,
    url      TEXT NOT NULL,
    "values" TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    due_at   REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX lgs_webhook_due ON lgs_webhook (due_at)
"""

CALLERS: Final = """
-- thread_metadata: that of the thread of a stateless run, which is gone before the record of the run.
-- caller: the user in whose name a cron makes its runs.
ALTER TABLE lgs_run ADD COLUMN thread_metadata TEXT;
CREATE INDEX lgs_run_created_by ON lgs_run (created_by, created_at) WHERE created_by IS NOT NULL;
CREATE INDEX lgs_run_unfinished_of ON lgs_run (created_by)
    WHERE created_by IS NOT NULL AND status IN ('pending', 'running');
ALTER TABLE lgs_cron ADD COLUMN caller TEXT
"""

FAIRNESS: Final = """
-- level and fairness_group of a thread are those of its later runs, null until its first run settles them.
ALTER TABLE lgs_thread ADD COLUMN level INTEGER;
ALTER TABLE lgs_thread ADD COLUMN fairness_group TEXT;

-- turn: the round of its level that a run is served in, smaller first.
ALTER TABLE lgs_run ADD COLUMN level INTEGER NOT NULL DEFAULT 0;
ALTER TABLE lgs_run ADD COLUMN fairness_group TEXT NOT NULL DEFAULT 'default';
ALTER TABLE lgs_run ADD COLUMN turn INTEGER NOT NULL DEFAULT 1;
UPDATE lgs_run SET level = CASE priority WHEN 0 THEN -5 WHEN 1 THEN 0 ELSE 5 END;
CREATE INDEX lgs_run_line ON lgs_run (level, turn, rank) WHERE status = 'pending';
CREATE INDEX lgs_run_group ON lgs_run (level, fairness_group, turn) WHERE status = 'pending';
CREATE INDEX lgs_run_served ON lgs_run (level, turn) WHERE status = 'running' AND turn >= 0
"""

GRAPHS: Final = """
-- graph_id: the graph that a run needs, null: any replica may take it. graphs: those that a replica has,
-- null: it did not tell.
ALTER TABLE lgs_run ADD COLUMN graph_id TEXT;
ALTER TABLE lgs_replica ADD COLUMN graphs TEXT;
UPDATE lgs_run
SET graph_id = (SELECT graph_id FROM lgs_assistant a WHERE a.assistant_id = lgs_run.assistant_id)
WHERE status IN ('pending', 'running')
"""
