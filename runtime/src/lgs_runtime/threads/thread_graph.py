"""Opens a thread's graph to read or change the thread's state.

A graph factory may make a different graph for each configuration, and code that runs when the state is
changed by hand (a conditional edge) may read the configuration. A request to read a state gives none. So the
graph is opened with the configuration of its latest run that began on the thread, else with the thread's own.
If the factory refuses that one, for which the run failed, the graph is opened with that of the latest run
that did not fail, else with none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import structlog
from langchain_core.runnables import RunnableConfig
from langgraph_sdk.runtime import AccessContext

from lgs_runtime.checkpoint.configs import NAMES_OF_A_CHECKPOINT, OF_THE_REQUEST
from lgs_runtime.errors import GraphElsewhere, NotFound
from lgs_runtime.event_loop import RAISED, is_cancelled
from lgs_runtime.graphs.failures import graph_failed
from lgs_runtime.graphs.schemas import Graph
from lgs_runtime.model import Json, Page, Run, Thread
from lgs_runtime.services import Services
from lgs_runtime.storage.queries import RunQuery

PAGE: Final = 10
"""How many of a thread's runs are read at a time; the one wanted is nearly always in the first page."""
MOST_PAGES: Final = 10
log = structlog.get_logger(__name__)


async def check_here(services: Services, graph_id: str) -> None:
    """Raises `GraphElsewhere` for a graph that this replica lacks while another one has it."""
    if graph_id not in services.graphs.ids and await services.storage.queue.takes(graph_id):
        raise GraphElsewhere(graph_id)


@asynccontextmanager
async def open_for(
    services: Services,
    thread: Thread,
    graph_id: str,
    config: RunnableConfig,
) -> AsyncIterator[Graph]:
    """The thread's graph, opened. Raises `NotFound`, and `ProviderFailed` when its factory fails."""
    if not services.graphs.varies(graph_id):
        async with services.graphs.open(graph_id, config) as graph:
            yield graph
        return
    async with open_configured(services, thread, graph_id, config) as (graph, _):
        yield graph


@asynccontextmanager
async def open_configured(
    services: Services,
    thread: Thread,
    graph_id: str,
    config: RunnableConfig,
    *,
    access: AccessContext = "threads.read",
) -> AsyncIterator[tuple[Graph, RunnableConfig]]:
    """Like `open_for`, and also yields the whole configuration: `config` over the one that the graph was
    opened with."""
    await check_here(services, graph_id)
    failures: list[BaseException] = []
    async with AsyncExitStack() as stack:
        for known in await _configurations(services, thread, graph_id):
            whole: RunnableConfig = {**config, "configurable": {**known, **config["configurable"]}}
            opening = services.graphs.open(graph_id, whole, access=access)
            try:
                graph = await stack.enter_async_context(opening)
            except NotFound:
                raise
            except RAISED as raised:
                if is_cancelled(raised):
                    raise
                log.warning("thread.graph_refused", thread_id=thread.thread_id, exc_info=raised)
                failures.append(raised)
                continue
            yield graph, whole
            return
    raise graph_failed(graph_id, failures[0])


async def _configurations(services: Services, thread: Thread, graph_id: str) -> Sequence[Mapping[str, Any]]:
    """The configurations to try for opening a graph, the best first, an empty one last."""
    began = await _began(services, thread, graph_id)
    held = next((run for run in began if run.status != "error"), None)
    given = [run.kwargs.get("config") or {} for run in (*began[:1], held) if run]
    found: list[Mapping[str, Any]] = []
    for each in (*map(_configurable, given or [thread.config]), {}):
        if each not in found:
            found.append(each)
    return found


async def _began(services: Services, thread: Thread, graph_id: str) -> Sequence[Run]:
    """The latest runs of the graph that have begun on the thread, newest first. Many newer runs may still be
    waiting."""
    for page in range(MOST_PAGES):
        query = RunQuery(page=Page(PAGE, page * PAGE))
        runs = await services.storage.runs.of_thread(thread.thread_id, query)
        if found := [run for run in runs if run.attempt and run.graph_id == graph_id]:
            return found
        if len(runs) < PAGE:
            break
    return []


def _configurable(config: Json) -> Mapping[str, Any]:
    given: Mapping[str, Any] = config.get("configurable") or {}
    return {name: value for name, value in given.items() if not _of_a_call(name)}


def _of_a_call(name: str) -> bool:
    return name in NAMES_OF_A_CHECKPOINT or name in OF_THE_REQUEST or name.startswith("__")
