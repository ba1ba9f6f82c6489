"""The tables of the service in SQLite, and how a file gets to the newest form of them.

`migrate` holds the write lock of the file: processes that start together on an empty one take turns. Times
are seconds since the epoch; JSON is text. A released migration is never edited; a change is a new one.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from typing import Final

_TABLES: Final = """
CREATE TABLE lgs_assistant (
    assistant_id TEXT PRIMARY KEY,
    version      INTEGER NOT NULL,
    graph_id     TEXT NOT NULL,
    name         TEXT NOT NULL,
    description  TEXT,
    config       TEXT NOT NULL,
    context      TEXT NOT NULL,
    metadata     TEXT NOT NULL,
    created_at   REAL NOT NULL,
    updated_at   REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE lgs_assistant_version (
    assistant_id TEXT NOT NULL REFERENCES lgs_assistant ON DELETE CASCADE,
    version      INTEGER NOT NULL,
    graph_id     TEXT NOT NULL,
    name         TEXT NOT NULL,
    description  TEXT,
    config       TEXT NOT NULL,
    context      TEXT NOT NULL,
    metadata     TEXT NOT NULL,
    created_at   REAL NOT NULL,
    updated_at   REAL NOT NULL,
    PRIMARY KEY (assistant_id, version)
) WITHOUT ROWID;

CREATE TABLE lgs_thread (
    thread_id        TEXT PRIMARY KEY,
    metadata         TEXT NOT NULL DEFAULT '{}',
    config           TEXT NOT NULL DEFAULT '{}',
    rest             TEXT NOT NULL DEFAULT 'idle',
    unfinished       INTEGER NOT NULL DEFAULT 0 CHECK (unfinished >= 0),
    runs             INTEGER NOT NULL DEFAULT 0,
    status           TEXT GENERATED ALWAYS AS (CASE WHEN unfinished > 0 THEN 'busy' ELSE rest END) STORED,
    "values"         TEXT,
    interrupts       TEXT NOT NULL DEFAULT '{}',
    error            TEXT,
    ttl_seconds      REAL,
    created_at       REAL NOT NULL,
    updated_at       REAL NOT NULL,
    state_updated_at REAL NOT NULL
);
CREATE INDEX lgs_thread_created ON lgs_thread (created_at);
CREATE INDEX lgs_thread_mortal ON lgs_thread (created_at) WHERE ttl_seconds IS NOT NULL;

CREATE TABLE lgs_run (
    run_id              TEXT PRIMARY KEY,
    thread_id           TEXT NOT NULL,
    seq                 INTEGER NOT NULL,
    assistant_id        TEXT NOT NULL,
    status              TEXT NOT NULL,
    priority            INTEGER NOT NULL,
    rank                REAL NOT NULL,
    metadata            TEXT NOT NULL,
    kwargs              TEXT NOT NULL,
    multitask_strategy  TEXT NOT NULL,
    delete_thread_after INTEGER NOT NULL,
    attempt             INTEGER NOT NULL,
    error               TEXT,
    cancel_requested    TEXT,
    claimed_by          TEXT,
    claimed_at          REAL,
    created_at          REAL NOT NULL,
    updated_at          REAL NOT NULL,
    due_at              REAL NOT NULL,
    ended_at            REAL,
    result              TEXT
);
CREATE UNIQUE INDEX lgs_run_one_running ON lgs_run (thread_id) WHERE status = 'running';
CREATE INDEX lgs_run_thread ON lgs_run (thread_id, seq);
CREATE INDEX lgs_run_waiting ON lgs_run (rank) WHERE status = 'pending';
CREATE INDEX lgs_run_waiting_priority ON lgs_run (priority) WHERE status = 'pending';
CREATE INDEX lgs_run_waiting_thread ON lgs_run (thread_id, seq) WHERE status = 'pending';
CREATE INDEX lgs_run_claimed ON lgs_run (claimed_by) WHERE status = 'running';
CREATE INDEX lgs_run_ended ON lgs_run (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE lgs_replica (
    replica    TEXT PRIMARY KEY,
    expires_at REAL NOT NULL
)
"""

_SPENT_THREADS: Final = """
-- Threads of stateless runs whose record is gone and whose checkpoints may not be.
CREATE TABLE lgs_spent_thread (
    thread_id TEXT PRIMARY KEY,
    spent_at  REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX lgs_spent_thread_spent ON lgs_spent_thread (spent_at)
"""

_WEBHOOKS: Final = """
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

_CRONS: Final = """
CREATE TABLE lgs_cron (
    cron_id          TEXT PRIMARY KEY,
    assistant_id     TEXT NOT NULL,
    thread_id        TEXT,
    schedule         TEXT NOT NULL,
    timezone         TEXT,
    payload          TEXT NOT NULL,
    metadata         TEXT NOT NULL,
    on_run_completed TEXT,
    end_time         REAL,
    enabled          INTEGER NOT NULL,
    next_run_date    REAL,
    held_until       REAL NOT NULL DEFAULT 0,
    created_at       REAL NOT NULL,
    updated_at       REAL NOT NULL
);
CREATE INDEX lgs_cron_due ON lgs_cron (next_run_date) WHERE enabled
"""

_VERSIONS: Final = """
ALTER TABLE lgs_thread ADD COLUMN versions INTEGER NOT NULL DEFAULT 0;
ALTER TABLE lgs_thread ADD COLUMN created_by TEXT;
ALTER TABLE lgs_run ADD COLUMN created_by TEXT;
ALTER TABLE lgs_run ADD COLUMN version INTEGER;

CREATE TABLE lgs_version (
    thread_id     TEXT NOT NULL,
    version       INTEGER NOT NULL,
    checkpoint_id TEXT NOT NULL,
    run_id        TEXT,
    description   TEXT,
    metadata      TEXT NOT NULL DEFAULT '{}',
    interrupts    TEXT NOT NULL DEFAULT '{}',
    created_at    REAL NOT NULL,
    created_by    TEXT,
    PRIMARY KEY (thread_id, version)
) WITHOUT ROWID;

-- Threads that may have more versions than are kept.
CREATE TABLE lgs_crowded_thread (thread_id TEXT PRIMARY KEY) WITHOUT ROWID
"""

_CALLERS: Final = """
-- thread_metadata: that of the thread of a stateless run, which is gone before the record of the run.
-- caller: the user in whose name a cron makes its runs.
ALTER TABLE lgs_run ADD COLUMN thread_metadata TEXT;
CREATE INDEX lgs_run_created_by ON lgs_run (created_by, created_at) WHERE created_by IS NOT NULL;
CREATE INDEX lgs_run_unfinished_of ON lgs_run (created_by)
    WHERE created_by IS NOT NULL AND status IN ('pending', 'running');
ALTER TABLE lgs_cron ADD COLUMN caller TEXT
"""

_FAIRNESS: Final = """
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

_AUDIT: Final = """
CREATE TABLE lgs_audit (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    thread_id TEXT NOT NULL,
    at        REAL NOT NULL,
    who       TEXT,
    what      TEXT NOT NULL,
    details   TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX lgs_audit_thread ON lgs_audit (thread_id, at);
CREATE INDEX lgs_audit_deleted ON lgs_audit (at) WHERE what = 'thread.deleted';

CREATE TRIGGER lgs_run_audit AFTER DELETE ON lgs_run WHEN NOT OLD.delete_thread_after
BEGIN
    INSERT INTO lgs_audit (thread_id, at, who, what, details)
    VALUES (OLD.thread_id, OLD.created_at, OLD.created_by, 'run.created',
            json_object('run_id', OLD.run_id, 'assistant_id', OLD.assistant_id)),
           (OLD.thread_id, coalesce(OLD.ended_at, (julianday('now') - 2440587.5) * 86400), NULL,
            CASE WHEN OLD.ended_at IS NULL THEN 'run.rolled_back' ELSE 'run.ended' END,
            json_object('run_id', OLD.run_id, 'status', OLD.status, 'version', OLD.version,
                        'error', OLD.error));
END
"""

_TTL: Final = """
-- ttl_strategy: null is 'delete'. ttl_from: the time to live counts from here, if that is later than the last
-- change. thinned_at: what updated_at was when only the latest state was kept.
ALTER TABLE lgs_thread ADD COLUMN ttl_strategy TEXT;
ALTER TABLE lgs_thread ADD COLUMN ttl_from REAL;
ALTER TABLE lgs_thread ADD COLUMN thinned_at REAL
"""

_GRAPHS: Final = """
-- graph_id: the graph that a run needs, null: any replica may take it. graphs: those that a replica has,
-- null: it did not tell.
ALTER TABLE lgs_run ADD COLUMN graph_id TEXT;
ALTER TABLE lgs_replica ADD COLUMN graphs TEXT;
UPDATE lgs_run
SET graph_id = (SELECT graph_id FROM lgs_assistant a WHERE a.assistant_id = lgs_run.assistant_id)
WHERE status IN ('pending', 'running')
"""

_STEADY_LEASES: Final = """
-- held_from, held_until: the lease by the machine's monotonic clock, null: a replica of an earlier release,
-- whose lease is by the wall clock alone.
ALTER TABLE lgs_replica ADD COLUMN held_from REAL;
ALTER TABLE lgs_replica ADD COLUMN held_until REAL
"""

_DATABASE: Final = """
-- One row: by its id a replica knows this database from another one.
CREATE TABLE lgs_database (one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL, made_at REAL NOT NULL);
INSERT INTO lgs_database VALUES (1, lower(hex(randomblob(16))), CAST(strftime('%s', 'now') AS REAL))
"""

MIGRATIONS: Final = (
    _TABLES,
    _SPENT_THREADS,
    _WEBHOOKS,
    _CRONS,
    _VERSIONS,
    _CALLERS,
    _FAIRNESS,
    _AUDIT,
    _TTL,
    _GRAPHS,
    _STEADY_LEASES,
    _DATABASE,
)


def migrate(connection: sqlite3.Connection) -> None:
    """Brings the file to the newest form. To be called inside of a transaction that holds the write lock."""
    connection.execute(
        "CREATE TABLE IF NOT EXISTS lgs_migration (version INTEGER PRIMARY KEY, applied_at REAL NOT NULL)"
    )
    done = connection.execute("SELECT coalesce(max(version), 0) FROM lgs_migration").fetchone()[0]
    for version, statements in enumerate(MIGRATIONS[done:], start=done + 1):
        for statement in _single(statements):
            connection.execute(statement)
        connection.execute("INSERT INTO lgs_migration VALUES (?, ?)", (version, time.time()))


def _single(statements: str) -> Iterator[str]:
    """One statement after the other; a trigger's own statements stay inside of it."""
    statement = ""
    for part in statements.split(";"):
        statement += f"{part};"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
