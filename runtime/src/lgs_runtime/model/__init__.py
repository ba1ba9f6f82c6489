"""The records and values that all parts of the runtime use: assistants, threads, runs, crons.

They are plain frozen values without behaviour, shared by the storage, the workers and the API. There is a
module for each kind of record, and all their names are also here. Times are aware datetimes in UTC, durations
are seconds, ids are strings in UUID form.
"""

from __future__ import annotations

from lgs_runtime.model.assistants import Assistant
from lgs_runtime.model.base import Json, Page, Scope
from lgs_runtime.model.crons import Cron
from lgs_runtime.model.queue import (
    DEFAULT_GROUP,
    AssignedPriority,
    Pinned,
    Pinning,
    Priority,
    PriorityDepth,
    QueueDepth,
    QueueLimits,
    Release,
    Signal,
)
from lgs_runtime.model.runs import (
    FINAL,
    CancelAction,
    Enqueued,
    Finished,
    MultitaskStrategy,
    NewRun,
    Outcome,
    Run,
    RunStatus,
    Webhook,
)
from lgs_runtime.model.spending import Spent
from lgs_runtime.model.threads import AuditEntry, Thread, ThreadStatus, Ttl, TtlStrategy, Version
from lgs_runtime.model.values import (
    QUESTIONS,
    ROOT,
    failure_of,
    given_out,
    questions,
    rooted,
    unrooted,
    with_questions,
    without_questions,
)

__all__ = [
    "DEFAULT_GROUP",
    "FINAL",
    "QUESTIONS",
    "ROOT",
    "AssignedPriority",
    "Assistant",
    "AuditEntry",
    "CancelAction",
    "Cron",
    "Enqueued",
    "Finished",
    "Json",
    "MultitaskStrategy",
    "NewRun",
    "Outcome",
    "Page",
    "Pinned",
    "Pinning",
    "Priority",
    "PriorityDepth",
    "QueueDepth",
    "QueueLimits",
    "Release",
    "Run",
    "RunStatus",
    "Scope",
    "Signal",
    "Spent",
    "Thread",
    "ThreadStatus",
    "Ttl",
    "TtlStrategy",
    "Version",
    "Webhook",
    "failure_of",
    "given_out",
    "questions",
    "rooted",
    "unrooted",
    "with_questions",
    "without_questions",
]
