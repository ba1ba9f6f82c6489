"""Graphs whose nodes get messages without ids from tasks, in a subgraph, and then ask a person."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.func import task
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt


@task
async def one(text: str) -> AIMessage:
    return AIMessage(text)


@task
async def some(text: str) -> dict[str, list[AnyMessage]]:
    return {"messages": [AIMessage(f"{text} by one"), HumanMessage(f"{text} by another")]}


async def work(_: MessagesState) -> dict[str, Any]:
    return {"messages": [await one("said"), *(await some("told"))["messages"]]}


async def ask(_: MessagesState) -> dict[str, Any]:
    before = await one("before")
    return {"messages": [before, AIMessage(f"after {interrupt('sure?')}")]}


inner = StateGraph(MessagesState).add_sequence([work, ask]).add_edge(START, "work").compile()
as_a_node = StateGraph(MessagesState).add_node("inner", inner).add_edge(START, "inner").compile()


async def calls(_: MessagesState) -> Any:
    return await inner.ainvoke({"messages": []})


as_a_call = StateGraph(MessagesState).add_node(calls).add_edge(START, "calls").compile()
