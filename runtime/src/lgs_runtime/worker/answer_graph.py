"""Builds a graph with one node, which writes a cached answer. It has the same state, channels and schemas as
the original graph, so that clients follow a run of it like any short run.

The node has the name of the one that ran last when the answer was made. It writes the difference between the
state that the run's own input makes and the state that was reached then.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from copy import copy
from typing import Any, Final

from langchain_core.messages import BaseMessage, RemoveMessage
from langgraph.channels.base import BaseChannel
from langgraph.channels.binop import BinaryOperatorAggregate
from langgraph.channels.ephemeral_value import EphemeralValue
from langgraph.channels.last_value import LastValue
from langgraph.channels.untracked_value import UntrackedValue
from langgraph.checkpoint.base import Checkpoint
from langgraph.graph import START
from langgraph.graph.message import REMOVE_ALL_MESSAGES
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Overwrite

from lgs_runtime.cache.value_encoding import Encoding, NotStorable
from lgs_runtime.checks import kind_of
from lgs_runtime.graphs.schemas import Graph

KNOWN: Final = (LastValue, BinaryOperatorAggregate)
"""Types of channels whose value can be written again."""
PASSING: Final = (EphemeralValue, UntrackedValue)
"""Types of channels whose value is in no checkpoint."""
answer: Final[ContextVar[Mapping[str, Any]]] = ContextVar("lgs_answer")
"""The state that the current run is to end with."""
_encoding: Final = Encoding(1 << 62)


def not_cacheable(graph: Graph) -> str | None:
    """Why the answers of a graph can't be cached; None if they can."""
    if not isinstance(graph, CompiledStateGraph):
        return f"{kind_of(graph)}: must be a StateGraph that is compiled"
    for name, channel in graph.builder.channels.items():
        if name == "__root__" or not isinstance(channel, KNOWN + PASSING):
            return f"its channel {name} is {kind_of(channel)}: its value can't be written again"
    return None


def answering_graph(graph: CompiledStateGraph[Any, Any, Any, Any], node: str) -> Graph:
    """The graph whose only node, `node`, writes the answer that the context variable `answer` holds."""
    builder = copy(graph.builder)
    channels = dict(builder.channels)
    builder.nodes, builder.edges, builder.waiting_edges = {}, set(), set()
    builder.branches, builder.compiled = defaultdict(dict), False
    builder._node_defaults = type(builder._node_defaults)()
    # Reads the channels as a plain dict: a state's class may refuse, or change, the values it is made from.
    schemas: dict[type[Any], Any] = {**builder.schemas, dict: channels}
    builder.schemas = schemas

    async def recall(state: dict[str, Any]) -> dict[str, Any]:
        return writes_between(channels, state, answer.get())

    metadata = graph.builder.nodes[node].metadata
    builder.add_node(node, recall, input_schema=dict, metadata=metadata)  # type: ignore[type-var]
    builder.add_edge(START, node)
    compiled = builder.compile(graph.checkpointer, name=graph.name, transformers=graph.stream_transformers)
    compiled.config = graph.config
    return compiled


def answer_in(graph: CompiledStateGraph[Any, Any, Any, Any], checkpoint: Checkpoint) -> Mapping[str, Any]:
    """The answer to cache, from the checkpoint that a run ended with: the node that ran last, and the
    state."""
    values = checkpoint["channel_values"]
    return {
        "node": last_node(checkpoint["versions_seen"], graph.builder.nodes),
        "values": {name: values[name] for name in graph.builder.channels if name in values},
    }


def last_node(versions_seen: Mapping[str, Mapping[str, Any]], nodes: Mapping[str, Any]) -> str:
    """The node that ran last, judged by the channel versions that each has seen."""
    latest = {name: max(seen.values()) for name, seen in versions_seen.items() if name in nodes and seen}
    return max(latest, key=lambda name: latest[name], default=next(iter(nodes)))


def writes_between(
    channels: Mapping[str, BaseChannel[Any, Any, Any]], before: Mapping[str, Any], after: Mapping[str, Any]
) -> dict[str, Any]:
    """The writes by which a node turns the state `before` into `after`. Messages that came with the input
    keep the ids that they have in `before`."""
    wanted = _with_ids_of(before, after)
    writes = {}
    for name, value in wanted.items():
        if name in channels and not (name in before and _same(before[name], value)):
            writes[name] = _write(channels[name], before, name, value)
    return writes


def _write(channel: BaseChannel[Any, Any, Any], before: Mapping[str, Any], name: str, value: Any) -> Any:
    if not isinstance(channel, BinaryOperatorAggregate):
        return value
    if name not in before:
        return value
    for write in _candidates(before[name], value):
        if _leads(channel, before[name], write, value):
            return write
    return Overwrite(value)


def _candidates(before: Any, value: Any) -> Sequence[Any]:
    """Writes that a node may have made: the items that were added, or the whole list anew."""
    if not isinstance(before, list) or not isinstance(value, list):
        return ()
    added = value[len(before) :]
    if value and all(isinstance(each, BaseMessage) for each in value):
        return added, [RemoveMessage(REMOVE_ALL_MESSAGES), *value]
    return (added,)


def _leads(channel: BinaryOperatorAggregate[Any], before: Any, write: Any, value: Any) -> bool:
    """Whether the channel's reducer turns `before` and the write into `value`."""
    try:
        return _same(channel.operator(copy(before), write), value)
    except Exception:  # noqa: BLE001 - the application's own function, which need not take what it gave
        return False


def _with_ids_of(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    ids: dict[str, str] = {}
    for name, value in after.items():
        ids |= _ids(_messages(before.get(name)), _messages(value))
    if not ids:
        return dict(after)
    return {name: _renamed(value, ids) if _messages(value) else value for name, value in after.items()}


def _ids(before: Sequence[BaseMessage], after: Sequence[BaseMessage]) -> dict[str, str]:
    """The ids of messages in `before`, by the ids of the same messages in `after`."""
    same: defaultdict[bytes, deque[str]] = defaultdict(deque)
    # Matched by content, which is read once for each message: a client may send thousands.
    for each in after if before else ():
        if each.id and (said := _nameless(each)) is not None:
            same[said].append(each.id)
    found: dict[str, str] = {}
    for message in before:
        said = _nameless(message)
        if message.id and said is not None and same.get(said):
            found[same[said].popleft()] = message.id
    return found


def _nameless(message: BaseMessage) -> bytes | None:
    """The content of a message without its id; None if it has no JSON form."""
    try:
        return _encoding.dumps(message.model_copy(update={"id": None})).raw
    except NotStorable:
        return None


def _renamed(messages: Sequence[BaseMessage], ids: Mapping[str, str]) -> list[BaseMessage]:
    return [
        each.model_copy(update={"id": ids[each.id]}) if each.id and each.id in ids else each
        for each in messages
    ]


def _messages(value: Any) -> Sequence[BaseMessage]:
    """The value, if it is a list of messages; else an empty sequence."""
    whole = isinstance(value, list) and all(isinstance(each, BaseMessage) for each in value)
    return value if whole else ()


def _same(one: Any, other: Any) -> bool:
    """Whether two values are equal in every detail, regardless of the `==` of their types."""
    try:
        return _encoding.dumps(one).raw == _encoding.dumps(other).raw
    except NotStorable:
        return False
