"""A graph that asks the server it runs on: the SDK's client without an address."""

from typing import TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.store.base import BaseStore
from langgraph_sdk import get_client


class State(TypedDict):
    """What came of it."""

    n: int
    found: list[str]


async def call(state: State, *, store: BaseStore) -> State:
    """Has another graph add, and keeps a note where the API's store finds it."""
    client = get_client()
    answer = await client.runs.wait(None, "second", input={"n": state["n"]})
    await store.aput(("notes",), "sum", {"text": f"the sum is {answer['n']}"})
    items = await client.store.search_items(["notes"])
    return {"n": answer["n"], "found": [item["key"] for item in items["items"]]}


graph = StateGraph(State).add_node(call).add_edge(START, "call").add_edge("call", END).compile()
