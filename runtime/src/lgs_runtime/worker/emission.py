"""Publishes a graph's stream as the events that LangGraph's clients expect.

An event's name is the mode, followed by the namespaces of the subgraph (`updates|child:6f…`). Mode
`messages-tuple` becomes event `messages` with `[chunk, metadata]`. Mode `messages` becomes
`messages/metadata` once for each message, then `messages/partial` with the message so far, or
`messages/complete`; these have no namespace.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from langchain_core.messages import BaseMessage, BaseMessageChunk, message_chunk_to_message
from langchain_core.runnables import RunnableConfig
from langgraph._internal._config import DEFAULT_RECURSION_LIMIT

from lgs_runtime.checkpoint.configs import NAMES_OF_A_CHECKPOINT
from lgs_runtime.graphs.schemas import Graph
from lgs_runtime.run_kwargs import RunKwargs
from lgs_runtime.worker.publisher import Publisher

GRAPH_MODES = frozenset({"values", "updates", "messages", "tasks", "checkpoints", "debug", "custom", "tools"})
HIDDEN_TAG = "langsmith:hidden"


def graph_modes(wanted: Sequence[str]) -> list[str]:
    """The stream modes to request from the graph; at least one, as it requires."""
    asked = ["messages" if mode == "messages-tuple" else mode for mode in wanted]
    return list(dict.fromkeys(mode for mode in asked if mode in GRAPH_MODES)) or ["values"]


class Emitter:
    """Publishes the stream of one attempt."""

    def __init__(self, publisher: Publisher, kwargs: RunKwargs) -> None:
        self._publisher = publisher
        self._wanted = frozenset(kwargs.stream_mode)
        self._subgraphs = kwargs.stream_subgraphs
        self._messages: dict[str, BaseMessageChunk] = {}
        self._announced: set[str] = set()

    async def emit(self, namespace: Sequence[str], mode: str, data: Any) -> None:
        """Publishes one chunk of the graph's stream."""
        if mode == "messages":
            await self._message(namespace, data)
        elif mode in self._wanted:
            event = debug_event(data) if mode == "debug" else data
            await self._publisher.send(_name(mode, namespace), event)

    async def event(self, event: Any) -> None:
        """Publishes one event of `astream_events`."""
        if "events" in self._wanted and HIDDEN_TAG not in (event.get("tags") or ()):
            await self._publisher.send("events", event)

    async def _message(self, namespace: Sequence[str], data: tuple[BaseMessage, dict[str, Any]]) -> None:
        message, metadata = data
        if "messages-tuple" in self._wanted:
            await self._publisher.send(_name("messages", namespace), [message, metadata])
        if "messages" not in self._wanted:
            return
        message_id = str(message.id)
        if message_id not in self._announced:
            self._announced.add(message_id)
            await self._publisher.send("messages/metadata", {message_id: {"metadata": metadata}})
        if isinstance(message, BaseMessageChunk):
            before = self._messages.get(message_id)
            whole = message if before is None else before + message
            self._messages[message_id] = whole
            await self._publisher.send("messages/partial", [message_chunk_to_message(whole)])
        else:
            await self._publisher.send("messages/complete", [message])


async def stream(
    graph: Graph,
    graph_input: Any,
    config: RunnableConfig,
    kwargs: RunKwargs,
    *,
    emitter: Emitter,
    control: Any,
) -> None:
    """Runs the graph to its end, to an interrupt, or until `control` requests a drain (then raises
    `GraphDrained`)."""
    options: dict[str, Any] = {
        "context": kwargs.context,
        "stream_mode": graph_modes(kwargs.stream_mode),
        "interrupt_before": kwargs.interrupt_before,
        "interrupt_after": kwargs.interrupt_after,
        "durability": kwargs.durability,
        "output_keys": graph.output_channels,
        "subgraphs": kwargs.stream_subgraphs,
        "control": control,
    }
    chunks: Any
    if "events" in kwargs.stream_mode:
        chunks = _with_events(graph, graph_input, config, options, emitter)
    else:
        chunks = graph.astream(graph_input, config, **options)
    try:
        async for chunk in chunks:
            namespace, mode, data = chunk if kwargs.stream_subgraphs else ((), *chunk)
            await emitter.emit(namespace, mode, data)
    except BaseException:
        # If cancelled while publishing, the nodes are cancelled too, and clean up before this returns.
        await chunks.aclose()
        raise


async def _with_events(
    graph: Graph, graph_input: Any, config: RunnableConfig, options: dict[str, Any], emitter: Emitter
) -> AsyncGenerator[Any, None]:
    run_id = str(config["run_id"])
    # Without a limit in the config, LangChain would apply its own of 25 steps.
    limited: RunnableConfig = {"recursion_limit": _most_steps(graph), **config}
    events: Any = graph.astream_events(graph_input, limited, version="v2", **options)
    async with aclosing(events) as found:
        async for event in found:
            if event["event"] == "on_chain_stream" and event["run_id"] == run_id:
                yield event["data"]["chunk"]
            else:
                await emitter.event(event)


def _most_steps(graph: Graph) -> int:
    """How many steps a run of a graph may take if it does not set a limit itself."""
    return int((graph.config or {}).get("recursion_limit", DEFAULT_RECURSION_LIMIT))


def debug_event(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """An event of mode `debug` in the form of LangGraph's server: besides the configs, a checkpoint names
    itself, its parent and those of its subgraphs in the form that clients use."""
    payload = event["payload"]
    if event["type"] != "checkpoint" or not payload:
        return event
    named = {
        "checkpoint": checkpoint_of(payload["config"]),
        "parent_checkpoint": checkpoint_of(payload.get("parent_config")),
        "tasks": [_debug_task(task) for task in payload["tasks"]],
    }
    return {**event, "payload": {**payload, **named}}


def _debug_task(task: Mapping[str, Any]) -> Mapping[str, Any]:
    configurable = (task.get("state") or {}).get("configurable")
    if not configurable:
        return task
    return {**{name: value for name, value in task.items() if name != "state"}, "checkpoint": configurable}


def checkpoint_of(config: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The checkpoint that a config names, as `langgraph_sdk.schema.Checkpoint`; None if it names none."""
    named = (config or {}).get("configurable") or {}
    if not named.get("thread_id") or not named.get("checkpoint_id"):
        return None
    return {name: named[name] for name in NAMES_OF_A_CHECKPOINT if name in named}


def _name(mode: str, namespace: Sequence[str]) -> str:
    return "|".join((mode, *namespace))
