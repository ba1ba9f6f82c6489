"""Nodes that a checkpoint goes on with and the graph does not have: renamed or removed since it was written.

LangGraph passes over what it does not know: the step that was next would be dropped, and the run would end
as if all were done. So a run is refused before it goes on there, and its thread stays as it was: code that
has the node goes on from the checkpoint, and new input begins anew, as it always may.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any, Final, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, Checkpoint, CheckpointTuple
from langgraph.constants import END, START
from langgraph.pregel import Pregel
from langgraph.types import Send, StateSnapshot

from lgs_runtime.checkpoint.configs import checkpoint_config, checkpoint_id_of, namespace_of
from lgs_runtime.checkpoint.wrappers.attempt import CHECKPOINTER
from lgs_runtime.errors import RuntimeFault
from lgs_runtime.graphs.schemas import Graph

BRANCH: Final = "branch:to:"
JOIN: Final = "join:"
SENDS: Final = "__pregel_tasks"
"""What LangGraph's channels are called by which a step starts a node, its part of a join, and a `Send`."""
INTERRUPT: Final = "__interrupt__"
RESUME: Final = "__resume__"
ERROR: Final = "__error__"
ERROR_OF: Final = "__error_source_node__"
NULL_TASK: Final = "00000000-0000-0000-0000-000000000000"
"""Writes beside a checkpoint that are no node's."""


class NodeNotFound(RuntimeFault):
    """A run is to go on at a node that its graph does not have. It has not gone on."""

    def __init__(self, message: str, questions: Mapping[str, Any]) -> None:
        """`questions`: the interrupts that wait for an answer, by their tasks."""
        super().__init__(message)
        self.questions = questions


async def refuse_missing(
    graph: Graph,
    checkpointer: BaseCheckpointSaver[Any],
    found: CheckpointTuple,
    state: StateSnapshot,
    graph_id: str,
) -> None:
    """Raises `NodeNotFound` for a checkpoint whose next nodes are not all there, those of subgraphs neither.
    `state`: what the graph makes of it."""
    missing = [_quoted(name) for name in missing_nodes(graph, found, more=bool(state.tasks))]
    async for subgraph, name in _missing_inside(graph, checkpointer, state):
        missing.append(f"{_quoted(name)} of its subgraph {subgraph!r}")
    if missing:
        checkpoint = checkpoint_id_of(found.config)
        raise NodeNotFound(
            f"{_node(missing)} of graph {graph_id!r} not found: checkpoint {checkpoint} goes on there; "
            f"{_has(graph)}. Nothing is lost: code that has the node goes on from that checkpoint, and new "
            "input begins anew",
            waiting_questions(found),
        )


def refuse_unknown_goto(
    graph: Graph, command: Mapping[str, Any], found: CheckpointTuple | None, graph_id: str
) -> None:
    """Raises `NodeNotFound` for a command that leads to a node that the graph does not have."""
    goto = command.get("goto")
    targets = goto if isinstance(goto, list) else [goto] if goto else []
    names = [str(to["node"] if isinstance(to, Mapping) else to) for to in targets]
    if unknown := [_quoted(name) for name in names if name not in graph.nodes and name != END]:
        raise NodeNotFound(
            f"command.goto: {_node(unknown)} of graph {graph_id!r} not found; {_has(graph)}",
            waiting_questions(found) if found is not None else {},
        )


def missing_nodes(graph: Graph, found: CheckpointTuple, *, more: bool) -> Collection[str]:
    """Which nodes are to run next by a checkpoint and what is written beside it, and are not in the graph; a
    node that no longer waits for the same others is named by the join that it had. `more`: whether others are
    left to run, which may complete a join."""
    checkpoint, writes = found.checkpoint, found.pending_writes or ()
    values = checkpoint["channel_values"]
    sent = [*(values.get(SENDS) or ()), *(value for _, channel, value in writes if channel == SENDS)]
    nodes = {packet.node for packet in sent if isinstance(packet, Send)} - graph.nodes.keys()
    channels = [name for name, value in values.items() if _starts(checkpoint, name, value, more=more)]
    channels += [channel for _, channel, _ in writes]
    gone = {name for name in channels if name.startswith((BRANCH, JOIN)) and name not in graph.channels}
    return sorted(nodes | {name.removeprefix(BRANCH) for name in gone} - {END})


def asks(found: CheckpointTuple) -> bool:
    """Whether a node has asked beside a checkpoint."""
    return any(channel == INTERRUPT for _, channel, _ in found.pending_writes or ())


def waiting_questions(found: CheckpointTuple) -> Mapping[str, Any]:
    """The interrupts beside a checkpoint that nobody has answered, by their tasks."""
    answered = {task_id for task_id, channel, _ in found.pending_writes or () if channel == RESUME}
    asked = {} if NULL_TASK in answered else last_questions(found)
    return {task_id: questions for task_id, questions in asked.items() if task_id not in answered}


def last_questions(found: CheckpointTuple) -> Mapping[str, Any]:
    """What each task beside a checkpoint that has not ended has asked last, answered or not: one whose first
    question was answered may have asked another."""
    writes = found.pending_writes or ()
    ended = {task_id for task_id, channel, _ in writes if channel not in (ERROR, ERROR_OF, INTERRUPT, RESUME)}
    return {
        task_id: tuple(value)
        for task_id, channel, value in writes
        if channel == INTERRUPT and task_id not in ended
    }


def _starts(checkpoint: Checkpoint, channel: str, value: Any, *, more: bool) -> bool:
    """Whether a channel of this value starts a node. What earlier steps have left there, which savers that
    keep values by their versions still give, does not."""
    versions: Mapping[str, Any] = checkpoint["channel_versions"]
    if not channel.startswith((BRANCH, JOIN)) or channel not in versions:
        return False
    # Where a node runs after all others, its channel says beside the value whether these have ended.
    deferred = isinstance(value, (tuple, list))
    came = (value[0] if deferred else value) if channel.startswith(JOIN) else None
    if not deferred and (came is None or _all_came(channel, came)):
        return bool(versions[channel] == max(versions.values()))
    begun: Any = checkpoint["versions_seen"].get(START, {}).get(START)
    if begun is not None and not versions[channel] > begun:
        return False
    return came is None or (bool(came) and (more or _all_came(channel, came)))


def _all_came(channel: str, came: Collection[str]) -> bool:
    """Whether a join has all that it waits for, by its name: `join:one+other:node`."""
    waits_for, _, _ = channel.removeprefix(JOIN).rpartition(":")
    return len("+".join(came)) == len(waits_for)


async def _missing_inside(
    graph: Graph, checkpointer: BaseCheckpointSaver[Any], state: StateSnapshot
) -> AsyncIterator[tuple[str, str]]:
    """The subgraphs, by the nodes that they are, of tasks that are left, and the nodes that they miss."""
    subgraphs = dict(graph.get_subgraphs()) if any(task.state for task in state.tasks) else {}
    for task in state.tasks:
        subgraph, at = subgraphs.get(task.name), cast("RunnableConfig | None", task.state)
        if at is None or not isinstance(subgraph, Pregel):
            continue
        namespace = namespace_of(at)
        if subgraph.checkpointer is True:
            # It keeps its state from one call to the next, under its name alone.
            namespace = "|".join(part.partition(":")[0] for part in namespace.split("|"))
        config = checkpoint_config(at["configurable"]["thread_id"], namespace)
        if (found := await checkpointer.aget_tuple(config)) is None:
            continue
        inner = await subgraph.aget_state(_kept_by(checkpointer, config))
        for name in missing_nodes(subgraph, found, more=bool(inner.tasks)):
            yield task.name, name
        async for path, name in _missing_inside(subgraph, checkpointer, inner):
            yield f"{task.name}|{path}", name


def _kept_by(checkpointer: BaseCheckpointSaver[Any], config: RunnableConfig) -> RunnableConfig:
    return {"configurable": {**config["configurable"], CHECKPOINTER: checkpointer}}


def _quoted(name: str) -> str:
    """A join, as whom it would start, and after whom."""
    if not name.startswith(JOIN):
        return repr(name)
    waits_for, _, node = name.removeprefix(JOIN).rpartition(":")
    return f"{node!r} after {waits_for!r}"


def _node(quoted: Collection[str]) -> str:
    return f"node{'s' if len(quoted) > 1 else ''} {', '.join(quoted)}"


def _has(graph: Graph) -> str:
    return f"the nodes of this revision are: {', '.join(name for name in graph.nodes if name != START)}"
