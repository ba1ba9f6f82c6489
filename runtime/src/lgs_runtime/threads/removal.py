"""Removal of a thread or its past, and cancellation of runs: operations on records and checkpoints together,
which live in different tables."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from langgraph.channels import DeltaChannel

from lgs_runtime.checkpoint.configs import checkpoint_config
from lgs_runtime.checkpoint.savers import keep_latest_checkpoints
from lgs_runtime.encryption.context import taking_sealed
from lgs_runtime.errors import Conflict, InvalidRequest, NotFound
from lgs_runtime.graphs.schemas import Graph
from lgs_runtime.model import CancelAction, Page, RunStatus, Scope, Thread
from lgs_runtime.services import Services
from lgs_runtime.storage.queries import RunQuery
from lgs_runtime.threads.reading import graph_at, named_graph
from lgs_runtime.threads.snapshots import stand_alone
from lgs_runtime.threads.thread_graph import open_for

UNFINISHED: tuple[RunStatus, ...] = ("pending", "running")
STOP_SECONDS = 5.0
"""Seconds that a deletion waits for the thread's running run to stop, so that it leaves no checkpoint
behind."""


async def remove_thread(
    services: Services, thread_id: str, scope: Scope | None = None, *, replaced: bool = False
) -> None:
    """Cancels the thread's runs, then deletes its runs, record, crons and checkpoints, even if they can't be
    decrypted any more. `replaced`: the crons are kept for the thread that replaces it. Raises `NotFound`."""
    with taking_sealed():
        await _remove_thread(services, thread_id, scope, replaced=replaced)


async def _remove_thread(services: Services, thread_id: str, scope: Scope | None, *, replaced: bool) -> None:
    await services.storage.threads.get(thread_id, scope)
    unfinished = [
        run.run_id
        for status in UNFINISHED
        for run in await services.storage.runs.of_thread(
            thread_id, RunQuery(page=Page(limit=1000), status=status)
        )
    ]
    if unfinished:
        stopping = await services.storage.queue.cancel(thread_id, unfinished, "rollback", scope)
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                for run in stopping:
                    # A pending run, even one to be rolled back, executes nowhere: it is deleted with its
                    # thread.
                    if run.status == "running":
                        await services.notifier.finished(run.run_id)
    await services.storage.threads.delete(thread_id, scope, replaced=replaced)
    await services.checkpointer.adelete_thread(thread_id)


async def keep_latest(
    services: Services, thread_id: str, scope: Scope | None = None, *, reason: str = "asked"
) -> bool:
    """Deletes the thread's past and keeps its latest state. Returns false, and does nothing, for a busy
    thread. Past values that the latest state is made of (`DeltaChannel`) are first stored with it. Raises
    `NotFound`, and `InvalidRequest` if that is not possible."""
    thread = await services.storage.threads.get(thread_id, scope)
    if thread.status == "busy":
        return False
    await stand_alone(services, thread)
    before = await services.upkeep.use(thread_id)
    try:
        await keep_latest_checkpoints(services.checkpointer, thread_id)
    except NotImplementedError as needed:
        raise InvalidRequest(f"strategy: 'keep_latest': thread {thread_id}: {needed}") from needed
    after = await services.upkeep.use(thread_id)
    checkpoints = max(0, before.checkpoints.count - after.checkpoints.count)
    versions = await services.storage.versions.prune(thread_id, keep=1)
    services.metrics.pruned(checkpoints, versions.deleted)
    if checkpoints or versions.deleted:
        details = {"reason": reason, "checkpoints": checkpoints, "versions": versions.deleted}
        await services.storage.audit.note(thread_id, "thread.pruned", details)
    return True


async def refuse_busy(services: Services, thread: Thread) -> None:
    """Raises `Conflict`, naming a run, for a busy thread: its run will change the state, and a change by hand
    meanwhile would be lost."""
    if thread.status != "busy":
        return
    for status in ("running", "pending"):
        for run in await services.storage.runs.of_thread(
            thread.thread_id, RunQuery(page=Page(limit=1), status=status)
        ):
            raise Conflict(
                f"thread {thread.thread_id} is busy with run {run.run_id}: "
                "wait for its runs, or cancel them, first"
            )


async def needs_past(services: Services, thread: Thread) -> bool:
    """Whether the thread's values depend on earlier checkpoints."""
    config = checkpoint_config(thread.thread_id)
    for graph_id in {named_graph(thread), await graph_at(services, thread, config)}:
        if graph_id is None or graph_id not in services.graphs.ids:
            continue
        async with open_for(services, thread, graph_id, config) as graph:
            if any(has_deltas(one) for one in (graph, *await nested_graphs(graph))):
                return True
    return False


async def nested_graphs(graph: Graph) -> list[Any]:
    """The subgraphs of a graph, at every depth."""
    return [subgraph async for _, subgraph in graph.aget_subgraphs(recurse=True)]


def has_deltas(graph: Any) -> bool:
    """Whether a graph has a channel whose values depend on earlier checkpoints."""
    return any(isinstance(channel, DeltaChannel) for channel in graph.channels.values())


async def cancel_all(
    services: Services,
    statuses: Sequence[RunStatus],
    action: CancelAction,
    scope: Scope | None = None,
    assistant_id: str | None = None,
) -> None:
    """Cancels the runs of all threads (with `assistant_id`, of that assistant) that have one of these
    statuses now."""
    before = await services.storage.now()
    find = partial(services.storage.runs.unfinished, statuses, action, before, scope, assistant_id)
    while run_ids := await find():
        # A run may have been deleted since; the others are found again.
        with suppress(NotFound):
            await services.storage.queue.cancel(None, run_ids, action, scope)
