"""Changes of the tables for threads: versions, the audit log and the time to live."""

from __future__ import annotations

from typing import Final

VERSIONS: Final = """

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

AUDIT: Final = """

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

TTL: Final = """
-- ttl_strategy: null is 'delete'. ttl_from: the time to live counts from here, if that is later than the last
-- change. thinned_at: what updated_at was when only the latest state was kept.
ALTER TABLE lgs_thread ADD COLUMN ttl_strategy TEXT;
ALTER TABLE lgs_thread ADD COLUMN ttl_from REAL;
ALTER TABLE lgs_thread ADD COLUMN thinned_at REAL
"""
