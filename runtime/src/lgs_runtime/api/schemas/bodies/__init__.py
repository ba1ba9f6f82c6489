"""The request bodies: one model per body, named as in LangGraph's own API description.

Unknown fields are ignored, as on LangGraph Server, so that newer clients work too. A wrong field is answered
with 422, its name, its value and the rule.
"""

from __future__ import annotations

from lgs_runtime.api.schemas.bodies.assistants import (
    AssistantCount,
    AssistantCreate,
    AssistantLatest,
    AssistantPatch,
    AssistantSearch,
    AssistantVersions,
)
from lgs_runtime.api.schemas.bodies.crons import CronCount, CronCreate, CronPatch, CronSearch
from lgs_runtime.api.schemas.bodies.fields import (
    MAX_BATCH,
    Body,
    Checkpoint,
    CheckpointId,
    Id,
    Object,
    PathId,
    SparseBody,
    Text,
    checked,
)
from lgs_runtime.api.schemas.bodies.runs import (
    RunBatch,
    RunConfig,
    RunCreateStateful,
    RunCreateStateless,
    RunField,
    RunOptions,
    RunsCancel,
)
from lgs_runtime.api.schemas.bodies.store import StoreKey, StoreNamespaces, StorePut, StoreSearch
from lgs_runtime.api.schemas.bodies.threads import (
    StateAtCheckpoint,
    StateHistory,
    StateUpdate,
    Superstep,
    SuperstepUpdate,
    ThreadCount,
    ThreadCreate,
    ThreadPatch,
    ThreadPrune,
    ThreadSearch,
    TimeToLive,
    VersionSave,
)

__all__ = [
    "MAX_BATCH",
    "AssistantCount",
    "AssistantCreate",
    "AssistantLatest",
    "AssistantPatch",
    "AssistantSearch",
    "AssistantVersions",
    "Body",
    "Checkpoint",
    "CheckpointId",
    "CronCount",
    "CronCreate",
    "CronPatch",
    "CronSearch",
    "Id",
    "Object",
    "PathId",
    "RunBatch",
    "RunConfig",
    "RunCreateStateful",
    "RunCreateStateless",
    "RunField",
    "RunOptions",
    "RunsCancel",
    "SparseBody",
    "StateAtCheckpoint",
    "StateHistory",
    "StateUpdate",
    "StoreKey",
    "StoreNamespaces",
    "StorePut",
    "StoreSearch",
    "Superstep",
    "SuperstepUpdate",
    "Text",
    "ThreadCount",
    "ThreadCreate",
    "ThreadPatch",
    "ThreadPrune",
    "ThreadSearch",
    "TimeToLive",
    "VersionSave",
    "checked",
]
