"""The config that a graph is run with, and that its threads are read with."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from uuid import UUID

from langchain_core.runnables import RunnableConfig

from lgs_runtime.model import Run
from lgs_runtime.run_kwargs import ABOUT_THE_CALLER, RunKwargs, about_the_caller
from lgs_runtime.storage.contract import Assistants
from lgs_runtime.worker.resumption import ANSWER_CACHE, REVISION

SET_BY_THE_WORKER: Final = ABOUT_THE_CALLER | {ANSWER_CACHE, REVISION}
"""Metadata keys that a client can't pass to the graph."""


def build_config(run: Run, kwargs: RunKwargs, graph_id: str, revision: str = "") -> RunnableConfig:
    """The config of every attempt of a run. The request can't override the ids of the run. `revision`: that
    of the replica that executes the run, if it has one."""
    ids = {
        "run_id": run.run_id,
        "thread_id": run.thread_id,
        "assistant_id": run.assistant_id,
        "graph_id": graph_id,
    }
    given = dict(kwargs.config)
    asked = about_the_caller(kwargs.user, kwargs.request_id)
    configurable = {**given.pop("configurable", {}), **ids, **asked, **_when(run)}
    # A client's own `user_id` prevails, as on LangGraph's server; the authenticated one has its own key.
    configurable["user_id"] = configurable.get("user_id") or asked["langgraph_auth_user_id"]
    for address in ("checkpoint_id", "checkpoint_ns", "checkpoint_map"):
        configurable.pop(address, None)
    said = {**run.thread_metadata, **run.metadata, **given.pop("metadata", {})}
    own = {name: value for name, value in said.items() if name not in SET_BY_THE_WORKER}
    metadata = {**own, **ids, "run_attempt": run.attempt} | ({REVISION: revision} if revision else {})
    known = {name: given[name] for name in ("tags", "recursion_limit", "max_concurrency") if name in given}
    config: RunnableConfig = {
        "configurable": configurable,
        "metadata": metadata,
        "run_id": UUID(run.run_id),
        "run_name": graph_id,
    }
    config.update(known)  # type: ignore[typeddict-item]
    return config


async def graph_id_of(run: Run, kwargs: RunKwargs, graphs: Collection[str], assistants: Assistants) -> str:
    """The id of the graph that a run executes: the one that its request names, if it is among `graphs`, else
    its assistant's."""
    named = kwargs.config.get("configurable", {}).get("graph_id")
    if named in graphs:
        return str(named)
    if run.graph_id is not None:
        return run.graph_id
    return (await assistants.get(run.assistant_id)).graph_id


def _when(run: Run) -> dict[str, int]:
    """When the run was requested (milliseconds since 1970), and the delay before it was due (seconds)."""
    return {
        "__request_start_time_ms__": int(run.created_at.timestamp() * 1000),
        "__after_seconds__": int((run.due_at - run.created_at).total_seconds()),
    }
