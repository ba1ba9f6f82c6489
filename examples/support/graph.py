"""A support agent with a model's latency, in as many steps as it is asked for.

Stands in for an agent that calls a model over the network: each step waits as long as a model would, then
adds to the state. With `STEP_RECORDS` set, every step also leaves a record outside of the graph's state when
it starts and when it ends, so that anyone can count which steps ran, how often, and where.

Input: `messages`, and optionally `steps` (default 3) and `step_seconds` (mean of a step, default 0.5).
`STEP_RECORDS`: the path of a file (JSON lines), or `redis://…` (a list named `steps`).
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from operator import add
from pathlib import Path
from typing import Annotated, Any, TypedDict
from uuid import uuid4

from langchain_core.messages import AIMessage, AnyMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as Unreachable
from redis.exceptions import TimeoutError as TooSlow

RECORDS = os.environ.get("STEP_RECORDS", "")
REPLICA = os.environ.get("LGS_REPLICA_ID") or os.environ.get("HOSTNAME", "local")


class State(TypedDict, total=False):
    """A conversation, and the steps that its present run has done."""

    messages: Annotated[list[AnyMessage], add_messages]
    steps: int
    step_seconds: float
    done: Annotated[list[int], add]
    run_started_at: int


class Records:
    """Appends records where `STEP_RECORDS` says; a service of several replicas shares one list.

    Patient, as a node that calls another system should be: names don't resolve for a moment when the node
    that ran the DNS server is lost. A record whose answer was lost is written twice, with the same `id`.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self._redis: Any = None

    async def write(self, record: dict[str, Any]) -> None:
        """Appends one record; it is stored when this returns."""
        if not self._target:
            return
        line = json.dumps({"id": str(uuid4()), **record})
        if "://" not in self._target:
            await asyncio.to_thread(self._append, line)
            return
        if self._redis is None:
            self._redis = Redis.from_url(
                self._target,
                retry=Retry(ExponentialBackoff(cap=2.0, base=0.1), retries=30),
                retry_on_error=[Unreachable, TooSlow, OSError],
            )
        await self._redis.rpush("steps", line)

    def _append(self, line: str) -> None:
        with Path(self._target).open("a") as file:
            file.write(line + "\n")


records = Records(RECORDS)


async def begin(state: State) -> State:
    """Remembers where this run's steps begin, so that a conversation may have many runs."""
    return {"run_started_at": len(state.get("done", []))}


async def think(state: State, config: RunnableConfig) -> State:
    """One step: as slow as a model, give or take a third."""
    number = len(state.get("done", [])) - state["run_started_at"]
    metadata = config.get("metadata", {})
    about = {
        "run_id": metadata.get("run_id"),
        "thread_id": metadata.get("thread_id"),
        "step": number,
        "attempt": metadata.get("run_attempt"),
        "replica": REPLICA,
    }
    mean = state.get("step_seconds", 0.5)
    seconds = random.Random(f"{about['run_id']}-{number}").uniform(mean * 2 / 3, mean * 4 / 3)

    await records.write({**about, "phase": "start", "at": time.time()})
    await asyncio.sleep(seconds)
    await records.write({**about, "phase": "end", "at": time.time()})
    return {"done": [number]}


async def answer(state: State) -> State:
    """The reply that the customer sees."""
    steps = len(state["done"]) - state["run_started_at"]
    return {"messages": [AIMessage(f"Looked into it in {steps} steps.")]}


def more(state: State) -> str:
    """Whether another step is due."""
    return "think" if len(state["done"]) - state["run_started_at"] < state.get("steps", 3) else "answer"


builder = StateGraph(State)
builder.add_node(begin)
builder.add_node(think)
builder.add_node(answer)
builder.add_edge(START, "begin")
builder.add_edge("begin", "think")
builder.add_conditional_edges("think", more, ["think", "answer"])
builder.add_edge("answer", END)
graph = builder.compile()
