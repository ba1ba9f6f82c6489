"""The graph of `bench.away`: a price for each of many things, worked out once and kept by the cache."""

from __future__ import annotations

import asyncio
from typing import Any, TypedDict

from langgraph.graph import START, StateGraph

from lgs_runtime.cache import cached

WORK_SECONDS = 0.02


class State(TypedDict, total=False):
    """A thing and its price."""

    thing: int
    price: int


@cached(ttl=3600)
async def price_of(thing: int) -> int:
    """Takes its time where nobody has asked before."""
    await asyncio.sleep(WORK_SECONDS)
    return 7 * thing


async def price(state: State) -> dict[str, Any]:
    """What one thing costs."""
    return {"price": await price_of(state["thing"])}


builder = StateGraph(State)
builder.add_node("price", price)
builder.add_edge(START, "price")
