"""Runs a graph for protocol v2: takes LangGraph's own stream for that protocol (`astream_events`, version v3,
with the transformers that the graph was compiled with), and publishes it in the form that clients get.

A chat model's tokens become message events of content blocks, tools `tools` events, subgraphs `lifecycle`
events of their namespace, and a graph's questions `input.requested` events, each once in an attempt.
"""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, cast

from langchain_core.language_models._compat_bridge import message_to_events
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.stream import ProtocolEvent, StreamTransformer
from langgraph.types import Interrupt, StateSnapshot

from lgs_runtime.graphs.schemas import Graph
from lgs_runtime.run_kwargs import RunKwargs
from lgs_runtime.streams.stream_v2 import (
    PROTOCOL,
    Wire,
    checkpoint_data,
    custom_data,
    input_requested,
    update_of,
    wire_event,
)
from lgs_runtime.worker.publisher import Publisher, epoch_of
from lgs_runtime.worker.resumption import Start
from lgs_runtime.worker.states import state_of

ENDS_OF_SUBGRAPHS = frozenset({"started", "running", "completed", "failed", "interrupted"})

# LangGraph warns at each use; the version that is used here is pinned and tested.
warnings.filterwarnings("ignore", message="The v3 streaming protocol on Pregel is experimental")


class ProtocolEmitter:
    """Publishes the stream of one attempt. Remembers each model's current message, and questions asked."""

    def __init__(self, publisher: Publisher, *, whole_messages: bool = False) -> None:
        """`whole_messages`: a message that a node returns whole is sent as if a model had streamed it."""
        self._publisher = publisher
        self._whole_messages = whole_messages
        self._messages: dict[str, str] = {}
        self._asked: set[str] = set()

    async def emit(self, event: ProtocolEvent) -> None:
        """Publishes one event of LangGraph's stream."""
        for wire in self._wires(event):
            await self._publisher.send(PROTOCOL, wire)

    async def ask(self, interrupts: Iterable[Interrupt], timestamp: int) -> None:
        """Publishes the waiting questions of the thread that were not among the events: those of an earlier
        attempt that was interrupted after it had asked."""
        for wire in self._questions(interrupts, (), timestamp):
            await self._publisher.send(PROTOCOL, wire)

    def _wires(self, event: ProtocolEvent) -> Iterator[Wire]:
        method, params = event["method"], event["params"]
        namespace, at, data = params["namespace"], params["timestamp"], params["data"]
        if method == "messages":
            yield from self._message(namespace, at, *data)
        elif method == "values":
            yield from self._questions(params.get("interrupts", ()), namespace, at)
            yield wire_event("values", namespace, data, at)
        elif method == "updates":
            for node, values in data.items():
                if node == "__interrupt__":
                    yield from self._questions(values, namespace, at)
                else:
                    yield wire_event("updates", namespace, update_of(node, values), at)
        elif method == "lifecycle":
            payload = dict(data)
            where = payload.pop("namespace", namespace)
            if payload["event"] in ENDS_OF_SUBGRAPHS:
                yield wire_event("lifecycle", where, payload, at)
        elif method == "checkpoints":
            if (small := checkpoint_data(data)) is not None:
                yield wire_event("checkpoints", namespace, small, at)
        elif method.partition(":")[0] == "custom":
            yield wire_event("custom", namespace, custom_data(data, method.partition(":")[2]), at)
        else:
            yield wire_event(method, namespace, data, at)

    def _questions(
        self, interrupts: Iterable[Interrupt], namespace: Iterable[str], at: int
    ) -> Iterator[Wire]:
        for interrupt in interrupts:
            if interrupt.id not in self._asked:
                self._asked.add(interrupt.id)
                yield input_requested({"id": interrupt.id, "value": interrupt.value}, list(namespace), at)

    def _message(
        self, namespace: list[str], at: int, payload: Any, metadata: Mapping[str, Any]
    ) -> Iterator[Wire]:
        """A chat model's event with the id of its message, so that clients can distinguish messages that are
        streamed at the same time. A message that a node returns whole is only part of the state and is not
        sent, except in a cached answer, where it stands for the model's output."""
        if not isinstance(payload, Mapping):
            if self._whole_messages and isinstance(payload, AIMessage):
                for said in message_to_events(payload, message_id=payload.id):
                    yield from self._message(namespace, at, said, metadata)
            return
        node, run_id = metadata.get("langgraph_node"), str(metadata.get("run_id") or "")
        if payload.get("event") == "message-start":
            self._messages[run_id] = str(payload.get("id") or payload.get("message_id") or run_id)
        named = {"run_id": run_id, "id": self._messages.get(run_id, run_id)}
        if payload.get("event") in ("message-finish", "error"):
            self._messages.pop(run_id, None)
        wire = wire_event("messages", namespace, {**named, **payload}, at)
        if node:
            wire["params"]["node"] = node
        yield wire


class Tasks(StreamTransformer):
    """Requests every mode of the protocol from the graph, and passes on the tasks, which LangGraph's own
    transformers remove from the stream."""

    required_stream_modes = ("values", "updates", "messages", "custom", "tasks", "checkpoints", "tools")

    def __init__(self, scope: tuple[str, ...], emit: Callable[[ProtocolEvent], Awaitable[None]]) -> None:
        super().__init__(scope)
        self._emit = emit

    def init(self) -> dict[str, Any]:
        """Adds no projection of its own."""
        return {}

    async def aprocess(self, event: ProtocolEvent) -> bool:
        """Passes tasks on at the root scope, which sees all events of the run; those of a subgraph are seen
        again at the subgraph's scope."""
        if event["method"] == "tasks" and not self.scope:
            await self._emit(event)
        return True


async def stream_protocol(
    graph: Graph,
    start: Start,
    config: RunnableConfig,
    kwargs: RunKwargs,
    *,
    emitter: ProtocolEmitter,
    control: Any,
) -> StateSnapshot:
    """Runs the graph to its end, to an interrupt, or until `control` requests a drain (then raises
    `GraphDrained`); returns the state that it left."""
    if start.kind != "done":
        await _stream(graph, start, kwargs, emitter, control)
    state = await state_of(graph, config)
    await emitter.ask(state.interrupts, epoch_of(None))
    return state


async def _stream(
    graph: Graph, start: Start, kwargs: RunKwargs, emitter: ProtocolEmitter, control: Any
) -> None:
    events = await graph.astream_events(
        start.input,
        start.config,
        version="v3",
        transformers=[lambda scope: Tasks(scope, emitter.emit)],
        control=control,
        context=kwargs.context,
        interrupt_before=cast(Any, kwargs.interrupt_before),
        interrupt_after=cast(Any, kwargs.interrupt_after),
        durability=kwargs.durability,
        output_keys=graph.output_channels,
    )
    try:
        async for event in events:
            await emitter.emit(event)
    except BaseException:
        # If cancelled while publishing, the nodes are cancelled too, and clean up before this returns.
        await events.abort()
        raise
