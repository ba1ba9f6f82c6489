"""Refuses runs that would continue at nodes that the graph does not have: renamed or removed since the
checkpoint was written.

LangGraph ignores nodes that it does not know: the next step would be dropped, and the run would end as if all
were done. So a run is refused before it continues, and its thread stays as it was: code that has the node can
continue from the checkpoint, and new input begins anew, as always.
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
"""Names (the first two are prefixes) of LangGraph's channels by which a step starts a node, contributes to a
join, and starts a `Send`."""
INTERRUPT: Final = "__interrupt__"
RESUME: Final = "__resume__"
ERROR: Final = "__error__"
ERROR_OF: Final = "__error_source_node__"
NULL_TASK: Final = "00000000-0000-0000-0000-000000000000"
"""Task id of pending writes that belong to no node."""


class NodeNotFound(RuntimeFault):
    """A run was to continue at a node that its graph does not have. Nothing of it was executed there."""

    def __init__(self, message: str, questions: Mapping[str, Any]) -> None:
        """`questions`: the interrupts that wait for an answer, by task."""
        super().__init__(message)
        self.questions = questions


async def refuse_missing(
    graph: Graph,
    checkpointer: BaseCheckpointSaver[Any],
    found: CheckpointTuple,
    state: StateSnapshot,
    graph_id: str,
) -> None:
    """Raises `NodeNotFound` if a next node of a checkpoint, or of its subgraphs, does not exist. `state`: the
    graph's state at the checkpoint."""
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
    """Raises `NodeNotFound` if a command's `goto` names a node that the graph does not have."""
    goto = command.get("goto")
    targets = goto if isinstance(goto, list) else [goto] if goto else []
    names = [str(to["node"] if isinstance(to, Mapping) else to) for to in targets]
    if unknown := [_quoted(name) for name in names if name not in graph.nodes and name != END]:
        raise NodeNotFound(
            f"command.goto: {_node(unknown)} of graph {graph_id!r} not found; {_has(graph)}",
            waiting_questions(found) if found is not None else {},
        )


def missing_nodes(graph: Graph, found: CheckpointTuple, *, more: bool) -> Collection[str]:
    """The nodes that are to run next, according to a checkpoint and its pending writes, but are not in the
    graph. A node that no longer waits for the same others is given as its former join. `more`: whether other
    tasks are left to run, which may complete a join."""
    checkpoint, writes = found.checkpoint, found.pending_writes or ()
    values = checkpoint["channel_values"]
    sent = [*(values.get(SENDS) or ()), *(value for _, channel, value in writes if channel == SENDS)]
    nodes = {packet.node for packet in sent if isinstance(packet, Send)} - graph.nodes.keys()
    channels = [name for name, value in values.items() if _starts(checkpoint, name, value, more=more)]
    channels += [channel for _, channel, _ in writes]
    gone = {name for name in channels if name.startswith((BRANCH, JOIN)) and name not in graph.channels}
    return sorted(nodes | {name.removeprefix(BRANCH) for name in gone} - {END})


def asks(found: CheckpointTuple) -> bool:
    """Whether a checkpoint has a pending question of a node."""
    return any(channel == INTERRUPT for _, channel, _ in found.pending_writes or ())


def waiting_questions(found: CheckpointTuple) -> Mapping[str, Any]:
    """The unanswered interrupts of a checkpoint, by task."""
    answered = {task_id for task_id, channel, _ in found.pending_writes or () if channel == RESUME}
    asked = {} if NULL_TASK in answered else last_questions(found)
    return {task_id: questions for task_id, questions in asked.items() if task_id not in answered}


def last_questions(found: CheckpointTuple) -> Mapping[str, Any]:
    """The last questions of each unfinished task of a checkpoint, answered or not: a task whose first
    question was answered may have asked another."""
    writes = found.pending_writes or ()
    ended = {task_id for task_id, channel, _ in writes if channel not in (ERROR, ERROR_OF, INTERRUPT, RESUME)}
    return {
        task_id: tuple(value)
        for task_id, channel, value in writes
        if channel == INTERRUPT and task_id not in ended
    }


def _starts(checkpoint: Checkpoint, channel: str, value: Any, *, more: bool) -> bool:
    """Whether a channel with this value starts a node. Values left by earlier steps, which savers that keep
    values by version still return, do not."""
    versions: Mapping[str, Any] = checkpoint["channel_versions"]
    if not channel.startswith((BRANCH, JOIN)) or channel not in versions:
        return False
    # If a node is deferred until all others have ended, its channel says besides the value whether they have.
    deferred = isinstance(value, (tuple, list))
    came = (value[0] if deferred else value) if channel.startswith(JOIN) else None
    if not deferred and (came is None or _all_came(channel, came)):
        return bool(versions[channel] == max(versions.values()))
    begun: Any = checkpoint["versions_seen"].get(START, {}).get(START)
    if begun is not None and not versions[channel] > begun:
        return False
    return came is None or (bool(came) and (more or _all_came(channel, came)))


def _all_came(channel: str, came: Collection[str]) -> bool:
    """Whether a join has all nodes that it waits for, judged by its name: `join:one+other:node`."""
    waits_for, _, _ = channel.removeprefix(JOIN).rpartition(":")
    return len("+".join(came)) == len(waits_for)


async def _missing_inside(
    graph: Graph, checkpointer: BaseCheckpointSaver[Any], state: StateSnapshot
) -> AsyncIterator[tuple[str, str]]:
    """(subgraph, missing node) for the subgraphs of the remaining tasks, each as the path of node names."""
    subgraphs = dict(graph.get_subgraphs()) if any(task.state for task in state.tasks) else {}
    for task in state.tasks:
        subgraph, at = subgraphs.get(task.name), cast("RunnableConfig | None", task.state)
        if at is None or not isinstance(subgraph, Pregel):
            continue
        namespace = namespace_of(at)
        if subgraph.checkpointer is True:
            # It keeps its state between calls, in a namespace without task ids.
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
    """A node's name quoted; for a join, the node that it would start, and the nodes that it waits for."""
    if not name.startswith(JOIN):
        return repr(name)
    waits_for, _, node = name.removeprefix(JOIN).rpartition(":")
    return f"{node!r} after {waits_for!r}"


def _node(quoted: Collection[str]) -> str:
    return f"node{'s' if len(quoted) > 1 else ''} {', '.join(quoted)}"


def _has(graph: Graph) -> str:
    return f"the nodes of this revision are: {', '.join(name for name in graph.nodes if name != START)}"
