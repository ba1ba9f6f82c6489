"""A refund that a person must allow: plan, look up, perhaps ask, answer. The first two wait until there is a
file of their name in the folder `gate`, where one is given."""

import asyncio
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage, AnyMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import interrupt


class State(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    gate: str
    ask: bool
    allowed: Any


def said(state: State) -> str:
    return str(state["messages"][-1].content)


async def opened(state: State, name: str) -> None:
    while (gate := state.get("gate")) and not (Path(gate) / name).exists():
        await asyncio.sleep(0.05)


async def plan(state: State) -> State:
    await opened(state, "plan")
    return {"messages": [AIMessage(f"You said: {said(state)}")]}


async def look_up(state: State) -> State:
    await opened(state, "look_up")
    return {"messages": [AIMessage("I looked it up.")]}


def ask_person(state: State) -> State:
    return {
        "allowed": interrupt(
            {"question": "Refund 40 EUR?", "customer_said": str(state["messages"][0].content)}
        )
    }


async def answer(state: State) -> State:
    return {"messages": [AIMessage(f"Refund: {state.get('allowed', 'none')}")]}


builder = StateGraph(State)
for node in (plan, look_up, ask_person, answer):
    builder.add_node(node)
builder.add_edge(START, "plan")
builder.add_edge("plan", "look_up")
builder.add_conditional_edges(
    "look_up", lambda state: "ask_person" if state.get("ask") else "answer", ["ask_person", "answer"]
)
builder.add_edge("ask_person", "answer")
builder.add_edge("answer", END)
graph = builder.compile()
