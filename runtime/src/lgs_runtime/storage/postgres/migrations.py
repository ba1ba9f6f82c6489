"""The tables of the service in PostgreSQL, and how a database gets to the newest form of them.

`migrate` runs under an advisory lock: replicas that start together on an empty database take turns. A
migration that has been released is never edited; a change is a new one.
"""

from __future__ import annotations

from typing import Final

import asyncpg  # type: ignore[import-untyped]

LOCK: Final = 0x6C67735F6D696772
"""Key of the advisory lock: `lgs_migr` in ASCII."""

_TABLES: Final = """
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

_SPENT_THREADS: Final = """
-- Threads of stateless runs whose record is gone and whose checkpoints may not be.
CREATE TABLE lgs_spent_thread (
    thread_id text PRIMARY KEY,
    spent_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX lgs_spent_thread_spent ON lgs_spent_thread (spent_at);
"""

_WEBHOOKS: Final = """
ALTER TABLE lgs_run ADD COLUMN webhook text;

CREATE TABLE lgs_webhook (
    run_id   text PRIMARY KEY REFERENCES lgs_run ON DELETE CASCADE,
    url      text NOT NULL,
    values   json,
    attempts integer NOT NULL DEFAULT 0,
    due_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX lgs_webhook_due ON lgs_webhook (due_at);
"""

_CRONS: Final = """
CREATE TABLE lgs_cron (
    cron_id          text PRIMARY KEY,
    assistant_id     text NOT NULL,
    thread_id        text,
    schedule         text NOT NULL,
    timezone         text,
    payload          json NOT NULL,
    metadata         jsonb NOT NULL,
    on_run_completed text,
    end_time         timestamptz,
    enabled          boolean NOT NULL,
    next_run_date    timestamptz,
    held_until       timestamptz NOT NULL DEFAULT '-infinity',
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX lgs_cron_due ON lgs_cron (next_run_date) WHERE enabled;
"""

_VERSIONS: Final = """
ALTER TABLE lgs_thread ADD COLUMN versions bigint NOT NULL DEFAULT 0, ADD COLUMN created_by text;
ALTER TABLE lgs_run ADD COLUMN created_by text, ADD COLUMN version bigint;

CREATE TABLE lgs_version (
    thread_id     text NOT NULL,
    version       bigint NOT NULL,
    checkpoint_id text NOT NULL,
    run_id        text,
    description   text,
    metadata      jsonb NOT NULL DEFAULT '{}',
    interrupts    jsonb NOT NULL DEFAULT '{}',
    created_at    timestamptz NOT NULL DEFAULT now(),
    created_by    text,
    PRIMARY KEY (thread_id, version)
);

-- Threads that may have more versions than are kept.
CREATE TABLE lgs_crowded_thread (thread_id text PRIMARY KEY);
"""

_CALLERS: Final = """
-- thread_metadata: that of a stateless run's thread, which is gone before the run's record.
-- caller: the user in whose name a cron makes its runs.
ALTER TABLE lgs_run ADD COLUMN thread_metadata jsonb;
CREATE INDEX lgs_run_created_by ON lgs_run (created_by, created_at) WHERE created_by IS NOT NULL;
CREATE INDEX lgs_run_unfinished_of ON lgs_run (created_by)
    WHERE created_by IS NOT NULL AND status IN ('pending', 'running');
ALTER TABLE lgs_cron ADD COLUMN caller json;
"""

_FAIRNESS: Final = """
-- level and fairness_group of a thread are those of its later runs; null until its first run settles them.
ALTER TABLE lgs_thread ADD COLUMN level smallint, ADD COLUMN fairness_group text;

-- turn: the round of its level that a run is served in, smaller first.
ALTER TABLE lgs_run
    ADD COLUMN level smallint NOT NULL DEFAULT 0,
    ADD COLUMN fairness_group text NOT NULL DEFAULT 'default',
    ADD COLUMN turn bigint NOT NULL DEFAULT 1;
UPDATE lgs_run SET level = CASE priority WHEN 0 THEN -5 WHEN 1 THEN 0 ELSE 5 END;
CREATE INDEX lgs_run_line ON lgs_run (level, turn, rank) WHERE status = 'pending';
CREATE INDEX lgs_run_group ON lgs_run (level, fairness_group, turn) WHERE status = 'pending';
-- Its condition keeps the planner from looking a thread up in it.
CREATE INDEX lgs_run_served ON lgs_run (level, turn) WHERE status = 'running' AND turn >= 0;
"""

_AUDIT: Final = """
CREATE TABLE lgs_audit (
    seq       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    thread_id text NOT NULL,
    at        timestamptz NOT NULL DEFAULT now(),
    who       text,
    what      text NOT NULL,
    details   jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX lgs_audit_thread ON lgs_audit (thread_id, at);
CREATE INDEX lgs_audit_deleted ON lgs_audit (at) WHERE what = 'thread.deleted';

CREATE FUNCTION lgs_note_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO lgs_audit (thread_id, at, who, what, details)
    VALUES (OLD.thread_id, OLD.created_at, OLD.created_by, 'run.created',
            jsonb_build_object('run_id', OLD.run_id, 'assistant_id', OLD.assistant_id)),
           (OLD.thread_id, coalesce(OLD.ended_at, now()), NULL,
            CASE WHEN OLD.ended_at IS NULL THEN 'run.rolled_back' ELSE 'run.ended' END,
            jsonb_build_object('run_id', OLD.run_id, 'status', OLD.status, 'version', OLD.version,
                               'error', OLD.error));
    RETURN NULL;
END $$;
CREATE TRIGGER lgs_run_audit AFTER DELETE ON lgs_run
    FOR EACH ROW WHEN (NOT OLD.delete_thread_after) EXECUTE FUNCTION lgs_note_run();
"""

_TTL: Final = """
-- ttl_strategy: null is 'delete'. ttl_from: the time to live counts from here, if that is later than the last
-- change. thinned_at: what updated_at was when only the latest state was kept.
ALTER TABLE lgs_thread
    ADD COLUMN ttl_strategy text,
    ADD COLUMN ttl_from timestamptz,
    ADD COLUMN thinned_at timestamptz;
"""

_GRAPHS: Final = """
-- graph_id: the graph that a run needs, null: any replica may take it. graphs: those that a replica has,
-- null: it did not tell.
ALTER TABLE lgs_run ADD COLUMN graph_id text;
ALTER TABLE lgs_replica ADD COLUMN graphs text[];
UPDATE lgs_run r SET graph_id = a.graph_id FROM lgs_assistant a
WHERE a.assistant_id = r.assistant_id AND r.status IN ('pending', 'running');
"""

_DATABASE: Final = """
-- One row: by its id a replica knows this database from another one.
CREATE TABLE lgs_database (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    id      text NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO lgs_database (id) VALUES (gen_random_uuid()::text);
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
    _DATABASE,
)


UNHURRIED: Final = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0"
"""What an administrator allows a statement of the service is not meant for the making of its tables."""


_CLOSED: Final = """
SELECT relname FROM pg_class
WHERE relkind = 'r' AND relname LIKE 'lgs\\_%' AND pg_table_is_visible(oid)
  AND relname NOT IN ('lgs_migration', 'lgs_audit')
  AND NOT (has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')
           AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE'))
ORDER BY relname LIMIT 1
"""


async def migrate(connection: asyncpg.Connection) -> None:
    """Brings the database to the newest form, once, whoever else tries at the same time. Where nothing is to
    be done the role need not be allowed to make tables."""
    if await _done(connection) >= len(MIGRATIONS):
        return
    async with connection.transaction():
        await connection.execute(UNHURRIED)
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS lgs_migration"
            " (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        done = await _done(connection)
        for version, statements in enumerate(MIGRATIONS[done:], start=done + 1):
            await connection.execute(statements)
            await connection.execute("INSERT INTO lgs_migration (version) VALUES ($1)", version)


async def _done(connection: asyncpg.Connection) -> int:
    """The number of the last migration that was made; 0 before the first."""
    if not await connection.fetchval("SELECT to_regclass('lgs_migration') IS NOT NULL"):
        return 0
    return int(await connection.fetchval("SELECT coalesce(max(version), 0) FROM lgs_migration"))


async def check_rights(connection: asyncpg.Connection) -> None:
    """Raises `asyncpg.InsufficientPrivilegeError` where the role may not read and write a table of the
    service: a start that went on would end in the middle of its work."""
    closed = await connection.fetchval(_CLOSED)
    if closed is not None:
        raise asyncpg.InsufficientPrivilegeError(
            f"the role must be allowed to SELECT, INSERT, UPDATE and DELETE in table {closed}"
        )
