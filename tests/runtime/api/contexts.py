"""Graphs that answer what their code sees of a run: its context, its configuration and its user."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, TypedDict

import ormsgpack
from langchain_core.runnables import RunnableConfig
from langgraph.config import get_config, get_store
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from langgraph_sdk.runtime import ServerRuntime
from pydantic import BaseModel, TypeAdapter


class Told(TypedDict, total=False):
    """What a node saw."""

    told: Any
    asks: bool


@dataclass
class Taste:
    """Every field has a default."""

    model: str = "small"
    graph_id: str = "not the server's"
    tags: list[str] = field(default_factory=list)
    made: str = field(init=False, default="here")


@dataclass
class Demanding:
    """A field that must be given."""

    needed: str
    other: int = 1


class Model(BaseModel):
    """Every field has a default; values are converted."""

    model: str = "small"
    n: int = 3


class Strict(BaseModel):
    """A field that must be given."""

    needed: str


class Open(BaseModel, extra="allow"):
    """Takes fields that it does not name."""

    model: str = "small"


class Plain(TypedDict, total=False):
    """A mapping: LangGraph makes nothing of it."""

    model: str


async def tell(state: Told, runtime: Runtime[Any]) -> Told:
    if state.get("asks"):
        interrupt("go on?")
    context = runtime.context
    if isinstance(context, BaseModel):
        return {"told": context.model_dump()}
    return {"told": context if context is None or isinstance(context, dict) else asdict(context)}


def telling(schema: type) -> Any:
    return StateGraph(Told, context_schema=schema).add_node(tell).add_edge(START, "tell").compile()


taste, demanding, model, strict, open_, plain = map(telling, (Taste, Demanding, Model, Strict, Open, Plain))

unschemed = StateGraph(Told).add_node(tell).add_edge(START, "tell").compile()
inside = StateGraph(Told, context_schema=Taste).add_node("inner", telling(Taste)).add_edge(START, "inner")
inside = inside.compile()


def tell_config(state: Told, config: RunnableConfig) -> Told:
    configurable = config["configurable"]
    return {"told": {name: value for name, value in configurable.items() if name[:8] != "__pregel"}}


config_told = StateGraph(Told).add_node(tell_config).add_edge(START, "tell_config").compile()


def tell_user(state: Told, config: RunnableConfig) -> Told:
    user = config["configurable"]["langgraph_auth_user"]
    return {
        "told": {
            "json": json.loads(json.dumps({"user": user}))["user"],
            "pydantic": TypeAdapter(dict[str, Any]).dump_python({"user": user}, mode="json")["user"],
            "msgpack": ormsgpack.unpackb(ormsgpack.packb({"user": user}))["user"],
            "state": user,
            "identity": user.identity,
            "attribute": user.city,
            "fields": user.model_dump(),
        }
    }


user_told = StateGraph(Told).add_node(tell_user).add_edge(START, "tell_user").compile()

seen: list[dict[str, Any]] = []
"""What the factories below saw, call by call."""


def look(config: Mapping[str, Any]) -> None:
    configurable = config["configurable"]
    ambient = get_config()["configurable"]
    seen.append(
        {
            **{name: value for name, value in configurable.items() if name[:8] != "__pregel"},
            "store": get_store() is not None,
            "ambient": ambient["__is_for_execution__"],
        }
    )


def built(config: RunnableConfig) -> Any:
    """An agent that has its node only where it is to be executed."""
    look(config)
    graph = StateGraph(Told)
    if config["configurable"].get("__is_for_execution__"):
        return graph.add_node(tell_config).add_edge(START, "tell_config")
    return graph.add_node("tell_config", lambda state: {}).add_edge(START, "tell_config")


def of_config(config: RunnableConfig) -> Any:
    return built(config)


async def awaited(config: RunnableConfig) -> Any:
    return built(config)


@asynccontextmanager
async def opened(config: RunnableConfig) -> AsyncIterator[Any]:
    yield built(config)


@contextmanager
def opened_plainly(config: RunnableConfig) -> Iterator[Any]:
    yield built(config)


def of_both(runtime: ServerRuntime[Any], config: RunnableConfig) -> Any:
    executes = runtime.execution_runtime
    graph = built(config)
    seen[-1] |= {"access": runtime.access_context, "context": executes and executes.context}
    return graph


def of_the_word(runtime: Runtime[Taste]) -> Any:
    """As people write it who mean the runtime of LangGraph: its server gives the config."""
    return built(runtime)  # type: ignore[arg-type]


def bound(config: RunnableConfig) -> Any:
    """A graph with a subgraph that keeps the config with which it was made."""
    look(config)
    deep = StateGraph(Told, context_schema=Taste).add_node("tell_config", tell_config)
    inner = deep.add_edge(START, "tell_config").compile()
    outer = StateGraph(Told, context_schema=Taste).add_node("inner", inner).add_node(tell)
    return outer.add_edge(START, "inner").add_edge("inner", "tell").compile().with_config(config)


def of_nothing() -> Any:
    return built(get_config())
