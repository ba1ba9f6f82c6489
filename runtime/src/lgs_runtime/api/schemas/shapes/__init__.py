"""The models of answers, for the OpenAPI description: one model per answer, with the names and fields of
`langgraph_sdk.schema` and our additions. The answers themselves are encoded from our records in
`record_json.py`; a test keeps the two in agreement."""

from __future__ import annotations

from lgs_runtime.api.schemas.shapes.assistants import (
    Assistant,
    Assistants,
    AssistantSchemas,
    Drawing,
    GraphSchemas,
)
from lgs_runtime.api.schemas.shapes.cache import (
    CacheCleared,
    CacheCounts,
    CacheLearned,
    CacheMemory,
    CacheStatistics,
    CacheTuned,
    CacheWarmup,
)
from lgs_runtime.api.schemas.shapes.crons import Cron, Crons
from lgs_runtime.api.schemas.shapes.runs import Run, Runs
from lgs_runtime.api.schemas.shapes.state import (
    Checkpoint,
    Interrupt,
    StateFields,
    States,
    StateUpdated,
    Task,
    ThreadState,
    Version,
    VersionState,
)
from lgs_runtime.api.schemas.shapes.store import Item, Items, Namespaces
from lgs_runtime.api.schemas.shapes.system import Alive, Info, Problem, Readiness
from lgs_runtime.api.schemas.shapes.threads import (
    Amount,
    AuditEntry,
    ChannelAmount,
    ChannelAmounts,
    Pruned,
    Thread,
    Threads,
    ThreadStorage,
    ThreadTtl,
)

__all__ = [
    "Alive",
    "Amount",
    "Assistant",
    "AssistantSchemas",
    "Assistants",
    "AuditEntry",
    "CacheCleared",
    "CacheCounts",
    "CacheLearned",
    "CacheMemory",
    "CacheStatistics",
    "CacheTuned",
    "CacheWarmup",
    "ChannelAmount",
    "ChannelAmounts",
    "Checkpoint",
    "Cron",
    "Crons",
    "Drawing",
    "GraphSchemas",
    "Info",
    "Interrupt",
    "Item",
    "Items",
    "Namespaces",
    "Problem",
    "Pruned",
    "Readiness",
    "Run",
    "Runs",
    "StateFields",
    "StateUpdated",
    "States",
    "Task",
    "Thread",
    "ThreadState",
    "ThreadStorage",
    "ThreadTtl",
    "Threads",
    "Version",
    "VersionState",
]
