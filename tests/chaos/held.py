"""An agent of four steps, the third of which lasts for ever in the first attempt: its replica is killed in
the middle of that step, however slow the machine is. Its records are those of `examples/support`."""

from __future__ import annotations

import asyncio
import json
import os
from operator import add
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph

HELD_STEP = 2
STEPS = 4


class State(TypedDict, total=False):
    done: Annotated[list[int], add]


def _note(**record: Any) -> None:
    with Path(os.environ["STEP_RECORDS"]).open("a") as file:
        file.write(json.dumps({"replica": os.environ["LGS_REPLICA_ID"], **record}) + "\n")


async def begin(state: State) -> State:
    return {"done": []}


async def think(state: State, config: RunnableConfig) -> State:
    number, metadata = len(state["done"]), config["metadata"]
    about = {"run_id": metadata["run_id"], "step": number, "attempt": metadata["run_attempt"]}
    _note(**about, phase="start")
    if number == HELD_STEP and metadata["run_attempt"] == 1:
        await asyncio.Event().wait()
    _note(**about, phase="end")
    return {"done": [number]}


async def answer(state: State) -> State:
    return {"done": []}


builder = StateGraph(State)
for node in (begin, think, answer):
    builder.add_node(node)
builder.add_edge(START, "begin")
builder.add_edge("begin", "think")
builder.add_conditional_edges("think", lambda state: "think" if len(state["done"]) < STEPS else "answer")
builder.add_edge("answer", END)
graph = builder.compile()
