"""An agent that hands a task to another in a node and keeps files in the shared state, as deepagents do."""

from typing import Annotated, NotRequired, TypedDict

from desk.model import Chat
from langchain_core.messages import AnyMessage, HumanMessage
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages


def _merged(old: dict[str, str] | None, new: dict[str, str]) -> dict[str, str]:
    return {**(old or {}), **new}


class State(TypedDict):
    """A conversation and the files that came of it."""

    messages: Annotated[list[AnyMessage], add_messages]
    files: NotRequired[Annotated[dict[str, str], _merged]]


async def research(state: State) -> State:
    """Writes a file."""
    answer = await Chat().ainvoke([HumanMessage(f"research {state['messages'][-1].content}")])
    get_stream_writer()({"wrote": "notes.md"})
    return {"messages": [answer], "files": {"notes.md": str(answer.content)}}


async def conclude(state: State) -> State:
    """Answers from the files."""
    return {"messages": [await Chat().ainvoke([HumanMessage(f"conclude {len(state.get('files', {}))}")])]}


researcher = (
    StateGraph(State).add_node(research).add_edge(START, "research").add_edge("research", END).compile()
)
builder = StateGraph(State).add_node("researcher", researcher).add_node(conclude)
graph = (
    builder.add_edge(START, "researcher")
    .add_edge("researcher", "conclude")
    .add_edge("conclude", END)
    .compile()
)
