"""A graph whose runs are traced: an agent that calls a model, a tool and the model again."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, TypedDict

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AnyMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode
from langgraph_sdk import get_client
from opentelemetry.trace import get_current_span
from structlog.contextvars import get_contextvars

from support.collector import SECRET

logged: dict[str, dict[str, Any]] = {}
"""What is logged with each line of a run."""
entered, patience = asyncio.Event(), asyncio.Event()
"""Of the graph `waits`."""


class Chat(TypedDict):
    """A conversation."""

    messages: Annotated[list[AnyMessage], add_messages]


class Talkative(Exception):
    """One whose representation does not begin with its type."""

    def __repr__(self) -> str:
        return f"{SECRET} is no word"

    __str__ = __repr__


class Mute(Exception):
    """One that can't be printed."""

    def __str__(self) -> str:
        raise RuntimeError


@tool
def look_up(word: str) -> str:
    """Looks a word up."""
    if word == "raise":
        raise Talkative
    if word == "raise what can't be printed":
        raise Mute
    return f"{word} means {SECRET}"


async def model(state: Chat, config: RunnableConfig) -> dict[str, Any]:
    asked = state["messages"][-1]
    logged[str(config["metadata"]["run_id"])] = get_contextvars()
    get_current_span().set_attribute("app.customer", "gold")
    if asked.type == "human":
        call = {"name": "look_up", "args": {"word": str(asked.content)}, "id": "1"}
        said = AIMessage("I look it up", tool_calls=[call])
    else:
        said = AIMessage(f"It is {SECRET}")
    said.usage_metadata = {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12}
    said.response_metadata = {"model_name": "stub-1"}
    return {"messages": [await GenericFakeChatModel(messages=iter([said])).ainvoke(state["messages"])]}


def goes_on(state: Chat) -> str:
    return "tools" if getattr(state["messages"][-1], "tool_calls", None) else END


agent = (
    StateGraph(Chat)
    .add_node(model)
    .add_node("tools", ToolNode([look_up], handle_tool_errors=False))
    .add_edge(START, "model")
    .add_conditional_edges("model", goes_on)
    .add_edge("tools", "model")
    .compile()
)


async def ask_another(state: Chat) -> dict[str, Any]:
    client = get_client()
    run = await client.runs.create(
        None, "agent", input={"messages": [("user", "inner")]}, on_completion="keep"
    )
    await client.runs.join(run["thread_id"], run["run_id"])
    return {"messages": [AIMessage(run["run_id"])]}


supervisor = StateGraph(Chat).add_node(ask_another).add_edge(START, "ask_another").compile()


async def wait_long(state: Chat) -> dict[str, Any]:
    entered.set()
    await patience.wait()
    return {"messages": [AIMessage("waited")]}


waits = StateGraph(Chat).add_node(wait_long).add_edge(START, "wait_long").compile()
