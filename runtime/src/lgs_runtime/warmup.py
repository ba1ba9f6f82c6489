"""Fills the cache before a replica takes work: runs the inputs that `spec.cache.warmup` names, within a time
limit.

They run in this process, with checkpoints in memory: no thread and no run is stored. They have no user, so
they don't fill entries that are kept per user. A failure is logged and counted; the replica starts all the
same.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from pathlib import Path
from typing import Final
from uuid import uuid4

import structlog
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver

from lgs_runtime.cache.statistics import WarmupCounts
from lgs_runtime.checkpoint.wrappers.attempt import CHECKPOINTER
from lgs_runtime.errors import ConfigError
from lgs_runtime.graphs.warmup_section import Warmup, WarmupInput, parse_lines
from lgs_runtime.model import Assistant
from lgs_runtime.run_kwargs import RunKwargs, about_the_caller
from lgs_runtime.runs.admission import named_assistant
from lgs_runtime.runs.configuration import merge_config, merge_context
from lgs_runtime.services import Services
from lgs_runtime.tracebacks import named_text
from lgs_runtime.worker.context import context_for_factory, context_of

AT_A_TIME: Final = 8
MOST_INPUTS: Final = 1000
MOST_BYTES: Final = 16 * 1024 * 1024
MOST_TOLD: Final = 10
"""How many failures are logged one by one."""
CLEANUP_SECONDS: Final = 1.0
log = structlog.get_logger(__name__)


async def warm_up(services: Services, stop: asyncio.Event) -> None:
    """Runs the configured inputs until all have ended, the time is up, or `stop` is set."""
    warmup = services.settings.warmup
    if warmup is None:
        return
    counts = services.cache.warmup = WarmupCounts("running", len(warmup.inputs))
    began = time.monotonic()
    stopped = asyncio.create_task(stop.wait())
    work = asyncio.create_task(_Runs(services, counts).all_of(warmup))
    try:
        await asyncio.wait(
            {work, stopped}, timeout=warmup.timeout_seconds, return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        stopped.cancel()
        work.cancel()
    # Bounded, as nodes may ignore their cancellation.
    await asyncio.wait({work}, timeout=CLEANUP_SECONDS)
    counts.state, counts.seconds = "done", round(time.monotonic() - began, 3)
    write = log.info if counts.done == counts.named else log.warning
    write("cache.warmed_up", **counts.to_json())


class _Runs:
    """The runs of one warm-up."""

    def __init__(self, services: Services, counts: WarmupCounts) -> None:
        self._services = services
        self._counts = counts
        self._turns = asyncio.Semaphore(min(AT_A_TIME, services.settings.concurrency))

    async def all_of(self, warmup: Warmup) -> None:
        """Runs all inputs, a few at a time."""
        given: list[WarmupInput | ConfigError] = list(warmup.inputs)
        if warmup.file is not None:
            path = self._services.settings.source / warmup.file
            given += await asyncio.to_thread(_read, path, warmup.file)
            self._counts.named = len(given)
        async with asyncio.TaskGroup() as group:
            for each in given:
                group.create_task(self._counted(each))

    async def _counted(self, given: WarmupInput | ConfigError) -> None:
        where = given.where if isinstance(given, WarmupInput) else "file"
        try:
            if isinstance(given, ConfigError):
                raise given
            async with self._turns:
                await self._run(given)
        # The graph is the application's: whatever it raises, the other inputs run, and the replica starts.
        except BaseException as failed:
            if isinstance(failed, asyncio.CancelledError | GeneratorExit) and _is_cancelled():
                raise
            self._counts.failed += 1
            if self._counts.failed <= MOST_TOLD:
                log.warning("cache.warmup_failed", input=where, reason=named_text(failed))
        else:
            self._counts.done += 1

    async def _run(self, given: WarmupInput) -> None:
        assistant = await self._assistant(given.assistant)
        kwargs = RunKwargs(
            input=given.input,
            config=merge_config(assistant, {}, given.context),
            context=merge_context(assistant, {}, given.context) or None,
        )
        config = _config_of(assistant, kwargs)
        self._services.metrics.models.follow(assistant.graph_id)
        async with self._services.graphs.open(
            assistant.graph_id, config, access="threads.create_run", context=context_for_factory(kwargs)
        ) as graph:
            schema = graph.context_schema
            context = kwargs.context if schema is None else context_of(schema, kwargs)
            await graph.ainvoke(kwargs.input, config, context=context, durability="exit")

    async def _assistant(self, named: str | None) -> Assistant:
        graphs = self._services.graphs
        if named is None and len(graphs.ids) > 1:
            raise ConfigError(f"assistant: none: must be named; {graphs.listing}")
        with named_assistant(self._services, graphs.ids[0] if named is None else named) as assistant_id:
            return await self._services.assistants.get(assistant_id)


def _is_cancelled() -> bool:
    """Whether the warm-up itself was cancelled, rather than a node raising a cancellation."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _config_of(assistant: Assistant, kwargs: RunKwargs) -> RunnableConfig:
    run_id = uuid4()
    ids = {
        "run_id": str(run_id),
        "thread_id": str(uuid4()),
        "assistant_id": assistant.assistant_id,
        "graph_id": assistant.graph_id,
    }
    given = dict(kwargs.config)
    configurable = {**given.pop("configurable"), **ids, **about_the_caller(None, None)}
    config: RunnableConfig = {
        "configurable": {**configurable, CHECKPOINTER: InMemorySaver()},
        "metadata": {**given.pop("metadata", {}), **ids},
        "run_id": run_id,
        "run_name": assistant.graph_id,
    }
    known = {name: given[name] for name in ("tags", "recursion_limit", "max_concurrency") if name in given}
    config.update(known)  # type: ignore[typeddict-item]
    return config


def _read(path: Path, name: str) -> list[WarmupInput | ConfigError]:
    """The inputs of a file; its errors are returned among them."""
    try:
        if not path.is_file():
            return [ConfigError(f"cache.warmup.file: {name}: must be a file that exists, in {path.parent}")]
        if path.stat().st_size > MOST_BYTES:
            return [ConfigError(f"cache.warmup.file: {name}: must have at most {MOST_BYTES} bytes")]
        with path.open(encoding="utf-8-sig") as lines:
            found = list(itertools.islice(parse_lines(lines, name), MOST_INPUTS + 1))
    except (OSError, ValueError) as unreadable:
        return [ConfigError(f"cache.warmup.file: {name}: can't be read: {unreadable}")]
    if len(found) > MOST_INPUTS:
        rule = f"must have at most {MOST_INPUTS} inputs"
        found[MOST_INPUTS:] = [ConfigError(f"cache.warmup.file: {name}: {rule}")]
    return found
