"""The first form of the tables."""

from __future__ import annotations

from typing import Final

TABLES: Final = """
CREATE TABLE lgs_assistant (
    assistant_id text PRIMARY KEY,
    version      integer NOT NULL,
    graph_id     text NOT NULL,
    name         text NOT NULL,
    description  text,
    config       jsonb NOT NULL,
    context      jsonb NOT NULL,
    metadata     jsonb NOT NULL,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL
);
CREATE INDEX lgs_assistant_created ON lgs_assistant (created_at);

CREATE TABLE lgs_assistant_version (
    assistant_id text NOT NULL REFERENCES lgs_assistant ON DELETE CASCADE,
    version      integer NOT NULL,
    graph_id     text NOT NULL,
    name         text NOT NULL,
    description  text,
    config       jsonb NOT NULL,
    context      jsonb NOT NULL,
    metadata     jsonb NOT NULL,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    PRIMARY KEY (assistant_id, version)
);

-- rest is the status when no run is unfinished; runs counts all that were ever stored and orders them.
CREATE TABLE lgs_thread (
    thread_id        text PRIMARY KEY,
    metadata         jsonb NOT NULL DEFAULT '{}',
    config           jsonb NOT NULL DEFAULT '{}',
    rest             text NOT NULL DEFAULT 'idle',
    unfinished       integer NOT NULL DEFAULT 0 CHECK (unfinished >= 0),
    runs             bigint NOT NULL DEFAULT 0,
    status           text GENERATED ALWAYS AS (CASE WHEN unfinished > 0 THEN 'busy' ELSE rest END) STORED,
    values           jsonb,
    interrupts       jsonb NOT NULL DEFAULT '{}',
    error            text,
    ttl_seconds      double precision,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    state_updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX lgs_thread_created ON lgs_thread (created_at);
CREATE INDEX lgs_thread_metadata ON lgs_thread USING gin (metadata jsonb_path_ops);
CREATE INDEX lgs_thread_mortal ON lgs_thread (created_at) WHERE ttl_seconds IS NOT NULL;

-- rank: seconds since the epoch, smaller goes first.
-- A stateless run outlives its thread, so there is no reference to it.
CREATE TABLE lgs_run (
    run_id              text PRIMARY KEY,
    thread_id           text NOT NULL,
    seq                 bigint NOT NULL,
    assistant_id        text NOT NULL,
    status              text NOT NULL,
    priority            smallint NOT NULL,
    rank                double precision NOT NULL,
    metadata            jsonb NOT NULL,
    kwargs              json NOT NULL,
    multitask_strategy  text NOT NULL,
    delete_thread_after boolean NOT NULL,
    attempt             integer NOT NULL,
    error               text,
    cancel_requested    text,
    claimed_by          text,
    claimed_at          timestamptz,
    created_at          timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz NOT NULL DEFAULT now(),
    due_at              timestamptz NOT NULL,
    ended_at            timestamptz,
    result              json
);
CREATE UNIQUE INDEX lgs_run_one_running ON lgs_run (thread_id) WHERE status = 'running';
CREATE INDEX lgs_run_thread ON lgs_run (thread_id, seq);
CREATE INDEX lgs_run_waiting ON lgs_run (rank) WHERE status = 'pending';
CREATE INDEX lgs_run_waiting_priority ON lgs_run (priority) WHERE status = 'pending';
CREATE INDEX lgs_run_waiting_thread ON lgs_run (thread_id, seq) WHERE status = 'pending';
CREATE INDEX lgs_run_claimed ON lgs_run (claimed_by) WHERE status = 'running';
CREATE INDEX lgs_run_ended ON lgs_run (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE lgs_replica (
    replica    text PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
"""
