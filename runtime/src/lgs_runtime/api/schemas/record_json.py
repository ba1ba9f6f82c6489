"""Our values as the JSON that LangGraph's clients expect.

Times are ISO 8601 in UTC. The values of a graph's state are encoded as in streams.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from typing_extensions import TypeIs

from lgs_runtime.checkpoint.configs import NAMES_OF_A_CHECKPOINT
from lgs_runtime.checkpoint.upkeep import Amount, StorageUse
from lgs_runtime.model import Assistant, AuditEntry, Cron, Json, Run, Thread, Version, failure_of, unrooted

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.store.base import Item
    from langgraph.types import Interrupt, PregelTask, StateSnapshot

PRIVATE_KWARGS = frozenset({"user", "request_id", "encryption_context", "trace"})
"""Fields of a run that clients never see. A user's fields may hold secrets, which others who may read the run
need not see."""


NOT_GIVEN: Mapping[str, Any] = {
    "input": None,
    "command": None,
    "context": {},
    "stream_mode": ["values"],
    "interrupt_before": None,
    "interrupt_after": None,
    "webhook": None,
    "feedback_keys": None,
    "temporary": False,
    "durability": "async",
}
"""Defaults of the fields that a request did not give, and that are not stored with the run."""


def select(record: Mapping[str, Any], fields: Iterable[str] | None) -> Mapping[str, Any]:
    """A record with only these fields; with all if none are named."""
    return record if not fields else {name: record[name] for name in fields if name in record}


def assistant_json(assistant: Assistant) -> dict[str, Any]:
    """As `langgraph_sdk.schema.Assistant`."""
    return {
        "assistant_id": assistant.assistant_id,
        "graph_id": assistant.graph_id,
        "name": assistant.name,
        "description": assistant.description,
        "config": assistant.config,
        "context": assistant.context,
        "metadata": assistant.metadata,
        "version": assistant.version,
        "created_at": assistant.created_at,
        "updated_at": assistant.updated_at,
    }


def thread_json(thread: Thread) -> dict[str, Any]:
    """As `langgraph_sdk.schema.Thread`."""
    return {
        "thread_id": thread.thread_id,
        "created_at": thread.created_at,
        "updated_at": thread.updated_at,
        "state_updated_at": thread.state_updated_at,
        "metadata": thread.metadata,
        "config": {"configurable": {}, **thread.config} if "graph_id" in thread.metadata else thread.config,
        "status": thread.status,
        "values": unrooted(thread.values),
        "interrupts": {task: _asked(interrupts) for task, interrupts in thread.interrupts.items()},
        "error": None if thread.error is None else failure_of(thread.error),
    }


def _asked(interrupts: Any) -> Any:
    """A task's questions in the form that a state shows: `response_schema` only if there is one. What could
    not be decrypted is shown as stored."""
    if not isinstance(interrupts, list):
        return interrupts
    return [
        {name: value for name, value in one.items() if name != "response_schema" or value is not None}
        for one in interrupts
    ]


def ttl_json(thread: Thread) -> dict[str, Any] | None:
    """A thread's time to live, in the form of LangGraph's server."""
    ttl = thread.ttl
    if ttl is None:
        return None
    return {"strategy": ttl.strategy, "ttl_minutes": ttl.seconds / 60, "expires_at": thread.expires_at}


def run_json(run: Run) -> dict[str, Any]:
    """As `langgraph_sdk.schema.Run`, plus the run's priority, attempts, version and reason of failure."""
    kwargs = _kwargs_json(run)
    return {
        "run_id": run.run_id,
        "thread_id": run.thread_id,
        "assistant_id": run.assistant_id,
        "created_at": run.created_at,
        "updated_at": run.updated_at,
        "status": run.status,
        "metadata": kwargs["config"]["metadata"],
        "kwargs": kwargs,
        "multitask_strategy": run.multitask_strategy,
        "priority": run.priority,
        "attempt": run.attempt,
        "version": run.version,
        "error": run.error,
    }


def _kwargs_json(run: Run) -> dict[str, Any]:
    """The options of a run by the names of LangGraph's server, including defaults; its config also has what
    the graph finds there."""
    given = {name: value for name, value in run.kwargs.items() if name not in PRIVATE_KWARGS}
    config = _object(given, "config")
    configurable = _object(config, "configurable")
    ids = {"run_id": run.run_id, "thread_id": run.thread_id, "assistant_id": run.assistant_id}
    graph = {"graph_id": configurable["graph_id"]} if "graph_id" in configurable else {}
    metadata = {**run.thread_metadata, **run.metadata, **graph, "assistant_id": run.assistant_id}
    return {
        **NOT_GIVEN,
        **given,
        "config": {**config, "configurable": {**configurable, **ids}, "metadata": metadata},
        "subgraphs": given.get("stream_subgraphs", False),
        "resumable": given.get("stream_resumable", False),
        "checkpoint_during": given.get("durability") != "exit",
    }


def _object(given: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = given.get(name)
    return found if isinstance(found, Mapping) else {}


def version_json(version: Version) -> dict[str, Any]:
    """A version of a thread, without its state."""
    return {
        "thread_id": version.thread_id,
        "version": version.version,
        "checkpoint_id": version.checkpoint_id,
        "run_id": version.run_id,
        "description": version.description,
        "metadata": version.metadata,
        "interrupts": version.interrupts,
        "created_at": version.created_at,
        "created_by": version.created_by,
    }


def storage_json(thread_id: str, use: StorageUse) -> dict[str, Any]:
    """As `ThreadStorage` of LangGraph's API description."""
    channels = use.channels.values()
    values = Amount(sum(each.count for each in channels), sum(each.bytes for each in channels))
    return {
        "thread_id": thread_id,
        "total_bytes": use.checkpoints.bytes + values.bytes + use.pending_writes.bytes,
        "checkpoints": {"count": use.checkpoints.count, "bytes": use.checkpoints.bytes},
        "channel_values": {
            "count": values.count,
            "bytes": values.bytes,
            "by_channel": {
                name: {"versions": each.count, "bytes": each.bytes} for name, each in use.channels.items()
            },
        },
        "pending_writes": {"count": use.pending_writes.count, "bytes": use.pending_writes.bytes},
    }


def audit_json(entry: AuditEntry) -> dict[str, Any]:
    """An entry of a thread's audit trail."""
    return {"at": entry.at, "who": entry.who, "what": entry.what, "details": entry.details}


def cron_json(cron: Cron) -> dict[str, Any]:
    """As `langgraph_sdk.schema.Cron`."""
    return {
        "cron_id": cron.cron_id,
        "assistant_id": cron.assistant_id,
        "thread_id": cron.thread_id,
        "on_run_completed": cron.on_run_completed,
        "end_time": cron.end_time,
        "schedule": cron.schedule,
        "timezone": cron.timezone,
        "created_at": cron.created_at,
        "updated_at": cron.updated_at,
        "payload": cron.payload,
        "user_id": cron.caller and cron.caller["identity"],
        "next_run_date": cron.next_run_date if cron.enabled else None,
        "metadata": cron.metadata,
        "enabled": cron.enabled,
    }


def item_json(item: Item) -> dict[str, Any]:
    """As `langgraph_sdk.schema.Item`. An item from a search also has its score, null if the search was not
    semantic."""
    return {
        "namespace": list(item.namespace),
        "key": item.key,
        "value": item.value,
        "created_at": _in_utc(item.created_at),
        "updated_at": _in_utc(item.updated_at),
        **({"score": item.score} if hasattr(item, "score") else {}),
    }


def _in_utc(moment: datetime) -> datetime:
    """The time with its zone: LangGraph's SQLite store returns times in UTC without one."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def state_json(snapshot: StateSnapshot) -> dict[str, Any]:
    """As `langgraph_sdk.schema.ThreadState`."""
    checkpoint = checkpoint_json(snapshot.config)
    parent = checkpoint_json(snapshot.parent_config)
    return {
        "values": snapshot.values,
        "next": list(snapshot.next),
        "tasks": [_task_json(task) for task in snapshot.tasks],
        "metadata": _metadata_of_checkpoint(snapshot),
        "created_at": snapshot.created_at,
        "checkpoint": checkpoint,
        "parent_checkpoint": parent,
        "interrupts": [_interrupt_json(interrupt) for interrupt in snapshot.interrupts],
        "checkpoint_id": checkpoint["checkpoint_id"] if checkpoint else None,
        "parent_checkpoint_id": parent["checkpoint_id"] if parent else None,
    }


def _metadata_of_checkpoint(snapshot: StateSnapshot) -> Mapping[str, Any]:
    """A checkpoint's metadata with the id of the thread, which savers leave out."""
    thread_id = snapshot.config["configurable"].get("thread_id")
    return {**snapshot.metadata, "thread_id": thread_id} if snapshot.metadata and thread_id else {}


def select_state(state: Json, fields: Sequence[str] | None) -> Json:
    """A state with only these fields; `values.<key>` names one key of the values."""
    if not fields:
        return state
    chosen = {name: state[name] for name in fields if name in state}
    keys = [name.removeprefix("values.") for name in fields if name.startswith("values.")]
    if keys and "values" not in chosen and isinstance(state["values"], Mapping):
        chosen["values"] = {key: state["values"][key] for key in keys if key in state["values"]}
    return chosen


def checkpoint_json(config: RunnableConfig | None) -> dict[str, Any] | None:
    """The checkpoint that a configuration names, as `langgraph_sdk.schema.Checkpoint`."""
    if not config or "configurable" not in config:
        return None
    named = config["configurable"]
    checkpoint = {key: named[key] for key in NAMES_OF_A_CHECKPOINT if key in named}
    return {"checkpoint_ns": "", "checkpoint_id": None, **checkpoint}


def _task_json(task: PregelTask) -> dict[str, Any]:
    # A subgraph's state is complete if it was requested, else only the configuration that finds it.
    nested = state_json(task.state) if _is_snapshot(task.state) else None
    return {
        "id": task.id,
        "name": task.name,
        "path": task.path,
        "error": None if task.error is None else str(task.error) or repr(task.error),
        "interrupts": [_interrupt_json(interrupt) for interrupt in task.interrupts],
        "checkpoint": None if task.state is None or _is_snapshot(task.state) else task.state["configurable"],
        "state": nested,
        "result": task.result,
    }


def _is_snapshot(state: RunnableConfig | StateSnapshot | None) -> TypeIs[StateSnapshot]:
    return isinstance(state, tuple)


def _interrupt_json(interrupt: Interrupt) -> dict[str, Any]:
    schema = getattr(interrupt, "response_schema", None)
    return {"value": interrupt.value, "id": interrupt.id, **({"response_schema": schema} if schema else {})}
