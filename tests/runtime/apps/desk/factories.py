"""A factory that builds the whole agent only where a run is executed, as public agents do."""

from typing import Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph


class State(TypedDict):
    """What was done, and for whom."""

    done: list[str]
    user: str


async def make(config: RunnableConfig) -> Any:
    """The agent: empty where it is only inspected."""
    configurable = config.get("configurable", {})
    builder = StateGraph(State)
    builder.add_node("work", _work if configurable.get("__is_for_execution__") else _nothing)
    builder.add_edge(START, "work").add_edge("work", END)
    return builder.compile()


def _work(state: State, config: RunnableConfig) -> State:
    user = config["configurable"]["langgraph_auth_user"]
    return {"done": [*state["done"], "work"], "user": user["identity"]}


def _nothing(state: State) -> State:
    return {"done": state["done"], "user": ""}
