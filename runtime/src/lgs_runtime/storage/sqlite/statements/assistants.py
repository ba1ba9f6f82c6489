"""Statements on assistants and their versions. `{order}` is filled from a fixed list of columns."""

from __future__ import annotations

from typing import Final

from lgs_runtime.storage.sqlite.statements.conditions import within

_FIELDS: Final = (
    "assistant_id, version, graph_id, name, description, config, context, metadata, created_at, updated_at"
)

CREATE_ASSISTANT: Final = f"""
INSERT INTO lgs_assistant ({_FIELDS})
VALUES (:assistant_id, 1, :graph_id, :name, :description, :config, :context, :metadata, :now, :now)
ON CONFLICT DO NOTHING RETURNING *
"""

KEEP_VERSION: Final = f"""
INSERT INTO lgs_assistant_version ({_FIELDS})
SELECT {_FIELDS.replace("created_at", ":now")} FROM lgs_assistant WHERE assistant_id = :assistant_id
"""

ASSISTANT: Final = f"""
SELECT * FROM lgs_assistant WHERE assistant_id = :assistant_id AND {within()}
"""

NEWEST_VERSION: Final = "SELECT max(version) FROM lgs_assistant_version WHERE assistant_id = :assistant_id"

CHANGE_ASSISTANT: Final = """
UPDATE lgs_assistant
SET version = :version, graph_id = :graph_id, name = :name, description = :description, config = :config,
    context = :context, metadata = :metadata, updated_at = :now
WHERE assistant_id = :assistant_id RETURNING *
"""

VERSIONS: Final = f"""
SELECT v.* FROM lgs_assistant_version v JOIN lgs_assistant a USING (assistant_id)
WHERE assistant_id = :assistant_id AND (:metadata IS NULL OR lgs_contains(v.metadata, :metadata))
  AND {within("a.metadata")} AND {within("v.metadata")}
ORDER BY v.version DESC LIMIT :limit OFFSET :offset
"""

SET_LATEST: Final = f"""
UPDATE lgs_assistant
SET version = v.version, graph_id = v.graph_id, name = v.name, description = v.description, config = v.config,
    context = v.context, metadata = v.metadata, updated_at = :now
FROM lgs_assistant_version v
WHERE lgs_assistant.assistant_id = :assistant_id AND v.assistant_id = :assistant_id AND v.version = :version
  AND {within("lgs_assistant.metadata")} AND {within("v.metadata")}
"""

DELETE_ASSISTANT: Final = f"""
DELETE FROM lgs_assistant WHERE assistant_id = :assistant_id AND {within()} RETURNING assistant_id
"""

DELETE_ITS_CRONS: Final = "DELETE FROM lgs_cron WHERE assistant_id = :assistant_id"

THREADS_OF_ASSISTANT: Final = f"""
SELECT thread_id FROM lgs_thread
WHERE lgs_contains(metadata, :metadata) AND {within("metadata", "threads_scope")}
"""

_ASSISTANTS: Final = f"""
FROM lgs_assistant
WHERE (:graph_id IS NULL OR graph_id = :graph_id)
  AND (:name IS NULL OR instr(lower(name), lower(:name)) > 0)
  AND (:metadata IS NULL OR lgs_contains(metadata, :metadata)) AND {within()}
"""

ASSISTANTS: Final = f"SELECT * {_ASSISTANTS} ORDER BY {{order}}, assistant_id LIMIT :limit OFFSET :offset"

COUNT_ASSISTANTS: Final = f"SELECT count(*) {_ASSISTANTS}"
