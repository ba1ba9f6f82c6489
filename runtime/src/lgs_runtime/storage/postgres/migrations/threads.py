"""Changes of the tables for threads: versions, the audit log and the time to live."""

from __future__ import annotations

from typing import Final

VERSIONS: Final = """

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

AUDIT: Final = """

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

TTL: Final = """
-- ttl_strategy: null is 'delete'. ttl_from: the time to live counts from here, if that is later than the last
-- change. thinned_at: what updated_at was when only the latest state was kept.
ALTER TABLE lgs_thread
    ADD COLUMN ttl_strategy text,
    ADD COLUMN ttl_from timestamptz,
    ADD COLUMN thinned_at timestamptz;
"""
