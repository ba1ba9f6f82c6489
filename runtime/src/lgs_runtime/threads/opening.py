"""A thread's graph, opened to read or change a state of the thread.

A factory may make another graph for each configuration, and code that runs on a change by hand (an edge that
decides) may read it. Who reads a state gives none: what counts is that of the latest run of the graph that
began on the thread, else what the thread shows as its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from langchain_core.runnables import RunnableConfig

from lgs_runtime.checkpoint.configs import NAMES_OF_A_CHECKPOINT, OF_THE_REQUEST
from lgs_runtime.graphs.schemas import Graph
from lgs_runtime.model import Json, Page, Thread
from lgs_runtime.services import Services
from lgs_runtime.storage.queries import RunQuery

LATEST = RunQuery(page=Page(limit=10))
"""Among so many of a thread's runs, most of which wait where there are more, is the one that counts."""


@asynccontextmanager
async def open_for(
    services: Services,
    thread: Thread,
    graph_id: str,
    config: RunnableConfig,
) -> AsyncIterator[Graph]:
    """A graph of the thread. Raises what `GraphRegistry.open` raises."""
    if services.graphs.varies(graph_id):
        config = await configured(services, thread, graph_id, config)
    async with services.graphs.open(graph_id, config) as graph:
        yield graph


async def configured(
    services: Services, thread: Thread, graph_id: str, config: RunnableConfig
) -> RunnableConfig:
    """`config` over the configuration that the thread's graph last ran with."""
    runs = await services.storage.runs.of_thread(thread.thread_id, LATEST)
    last = next((run for run in runs if run.attempt and run.graph_id == graph_id), None)
    known = _configurable(last.kwargs.get("config") or {}) if last else _configurable(thread.config)
    return {**config, "configurable": {**known, **config["configurable"]}}


def _configurable(config: Json) -> Mapping[str, Any]:
    given: Mapping[str, Any] = config.get("configurable") or {}
    return {name: value for name, value in given.items() if not _of_a_call(name)}


def _of_a_call(name: str) -> bool:
    return name in NAMES_OF_A_CHECKPOINT or name in OF_THE_REQUEST or name.startswith("__")
