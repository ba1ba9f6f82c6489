"""The first form of the tables."""

from __future__ import annotations

from typing import Final

TABLES: Final = """
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
