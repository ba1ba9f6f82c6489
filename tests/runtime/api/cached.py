"""A graph that caches: a node by a policy, and two functions. Another answers what it was run with."""

from __future__ import annotations

from itertools import count
from typing import Any, TypedDict

from langgraph.config import get_config
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import CachePolicy

from lgs_runtime.cache import cache_key, cached

_numbers = count()


class State(TypedDict, total=False):
    question: str
    price: int
    answer: Any


@cached(ttl=60)
async def price() -> int:
    return next(_numbers)


@cached(ttl=60, per_user=True)
async def balance() -> str:
    return f"of {get_config()['configurable']['langgraph_auth_user']['identity']}"


async def look_up(state: State) -> State:
    return {"price": await price(), "answer": next(_numbers)}


async def own(state: State) -> State:
    return {"answer": await balance()}


builder = StateGraph(State)
builder.add_node("look_up", look_up, cache_policy=CachePolicy(key_func=cache_key))
builder.add_node("own", own)
builder.add_conditional_edges(
    START, lambda state: "own" if state["question"] == "mine" else "look_up", ["own", "look_up"]
)
graph = builder.compile()

ran: list[tuple[str, Any, Any]] = []
"""What `tells` was run with: question, context and user."""


class Where(TypedDict, total=False):
    city: str


async def tell(state: State, runtime: Runtime[Where]) -> State:
    ran.append((state["question"], runtime.context, get_config()["configurable"]["langgraph_auth_user"]))
    return {}


tells = StateGraph(State, context_schema=Where).add_node(tell).add_edge(START, "tell").compile()
