"""An agent with a tool; what it says at first comes from the context's defaults."""

from typing import Annotated, TypedDict

from langchain_core.messages import AnyMessage, SystemMessage
from langgraph.graph import StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.runtime import Runtime

from desk.model import Chat
from desk.settings import Settings


class State(TypedDict):
    """A conversation."""

    messages: Annotated[list[AnyMessage], add_messages]


def look_up(question: str) -> str:
    """Looks a thing up."""
    return f"known: {question}"


async def think(state: State, runtime: Runtime[Settings]) -> State:
    """Asks the model."""
    model = Chat(name=runtime.context.model).bind_tools([look_up])
    return {"messages": [await model.ainvoke([SystemMessage(runtime.context.greeting), *state["messages"]])]}


builder = StateGraph(State, context_schema=Settings)
builder.add_node(think)
builder.add_node("tools", ToolNode([look_up]))
builder.set_entry_point("think")
builder.add_conditional_edges("think", tools_condition)
builder.add_edge("tools", "think")
graph = builder.compile(name="Desk")
