"""Graphs for the API's tests: each shows one behaviour, none needs a network."""

import asyncio
import operator
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AnyMessage
from langchain_core.runnables import RunnableConfig
from langgraph.channels import DeltaChannel
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from typing_extensions import TypedDict


class Steps(TypedDict, total=False):
    """The names of the nodes that ran, and what was given."""

    steps: Annotated[list[str], operator.add]
    text: str


class Chat(TypedDict):
    """A conversation."""

    messages: Annotated[list[AnyMessage], add_messages]


gates: dict[str, asyncio.Event] = {}
"""Opened by a test to let the node `waits` go on; by thread, so that tests don't disturb each other."""
entered: dict[str, asyncio.Event] = {}
"""Set when the node `waits` was entered."""


def gate(key: str) -> asyncio.Event:
    """What the node `waits` waits for."""
    return gates.setdefault(key, asyncio.Event())


def entrance(key: str) -> asyncio.Event:
    """What the node `waits` sets first."""
    return entered.setdefault(key, asyncio.Event())


def first(state: Steps) -> Steps:
    return {"steps": ["first"]}


def second(state: Steps) -> Steps:
    get_stream_writer()({"progress": "half"})
    return {"steps": ["second"]}


def _chain(*nodes: Any) -> StateGraph[Steps, Any, Any, Any]:
    builder = StateGraph(Steps)
    previous = START
    for node in nodes:
        builder.add_node(node.__name__, node)
        builder.add_edge(previous, node.__name__)
        previous = node.__name__
    builder.add_edge(previous, END)
    return builder


steps = _chain(first, second).compile()


async def answer(state: Chat) -> dict[str, Any]:
    model = GenericFakeChatModel(messages=iter([AIMessage("a b c", id="said")]))
    return {"messages": [await model.ainvoke(state["messages"])]}


chat = StateGraph(Chat).add_node(answer).add_edge(START, "answer").compile()


async def waits(state: Steps) -> Steps:
    entrance(state["text"]).set()
    await gate(state["text"]).wait()
    return {"steps": ["waited"]}


slow = _chain(first, waits, second).compile()


def fails(state: Steps) -> Steps:
    raise ValueError(f"no {state['text']} today")


broken = _chain(first, fails).compile()


def ask(state: Steps) -> Steps:
    return {"steps": [f"told {interrupt({'question': 'which?'})}"]}


asks = _chain(first, ask, second).compile()


def child(state: Steps) -> Steps:
    return {"steps": ["child"]}


nested = StateGraph(Steps)
nested.add_node("inner", _chain(child).compile())
nested.add_edge(START, "inner")
nested = nested.compile()


class Told(TypedDict, total=False):
    """What a node finds of the one who asked."""

    told: dict[str, Any]


def tell(state: Told, config: RunnableConfig, runtime: Runtime[None]) -> Told:
    configurable = config["configurable"]
    told = {name: configurable[name] for name in configurable if name.startswith("langgraph_")}
    user = told.pop("langgraph_auth_user", None)
    named = runtime.server_info and runtime.server_info.user
    found = {
        "user": user and dict(user),
        "attribute": getattr(user, "city", None),
        "server_info": named and named.identity,
        "metadata": {name: str(value) for name, value in config["metadata"].items() if "auth" in name},
    }
    return {"told": {**told, **found}}


who = StateGraph(Told).add_node(tell).add_edge(START, "tell").compile()


def asks_twice_(state: Steps) -> Steps:
    one = interrupt({"question": "one?"})
    return {"steps": [one, interrupt({"question": "two?"})]}


asks_twice = _chain(first, asks_twice_, second).compile()


def before(state: Steps) -> Steps:
    return {"steps": ["before"]}


asks_inside = StateGraph(Steps)
asks_inside.add_node("inner", _chain(before, ask).compile())
asks_inside.add_node("beside", first)
asks_inside.add_node("last", second)
asks_inside.add_edge(START, "inner")
asks_inside.add_edge(START, "beside")
asks_inside.add_edge(["inner", "beside"], "last")
asks_inside = asks_inside.compile()


def joined(log: list[str], writes: list[list[str]]) -> list[str]:
    return [*log, *(entry for write in writes for entry in write)]


class Deltas(TypedDict, total=False):
    """State of which only what is new is stored."""

    log: Annotated[list[str], DeltaChannel(joined, list)]
    text: str


def note(state: Deltas) -> Deltas:
    return {"log": [f"saw {len(state.get('log', []))}"]}


def ask_delta(state: Deltas) -> Deltas:
    answer = interrupt({"question": "which?"}) if state.get("text") == "ask" else "nothing"
    return {"log": [f"told {answer}"]}


def _deltas(**options: Any) -> Any:
    builder = StateGraph(Deltas)
    builder.add_node("note", note)
    builder.add_node("ask", ask_delta)
    builder.add_edge(START, "note")
    builder.add_edge("note", "ask")
    return builder.compile(**options)


deltas = _deltas()


class Outer(TypedDict, total=False):
    """State beside that of a subgraph that remembers."""

    text: str


deltas_inside = StateGraph(Outer)
deltas_inside.add_node("inner", _deltas(checkpointer=True))
deltas_inside.add_edge(START, "inner")
deltas_inside = deltas_inside.compile()


remembers = StateGraph(Steps)
remembers.add_node("inner", _chain(child).compile(checkpointer=True))
remembers.add_edge(START, "inner")
remembers = remembers.compile()


class Tutorial(Chat, total=False):
    """A conversation with somebody who may say a name."""

    name: str


def _reply(text: str) -> GenericFakeChatModel:
    return GenericFakeChatModel(messages=iter([AIMessage(text)]))


async def chatbot(state: Chat) -> dict[str, Any]:
    text = f"You said: {state['messages'][-1].content}"
    return {"messages": [await _reply(text).ainvoke(state["messages"])]}


tutorial = StateGraph(Chat).add_node(chatbot).add_edge(START, "chatbot").add_edge("chatbot", END).compile()


async def chatbot_with_store(state: Tutorial, runtime: Runtime[None]) -> dict[str, Any]:
    assert runtime.store is not None
    if name := state.get("name"):
        await runtime.store.aput(("people",), "name", {"name": name})
    known = await runtime.store.aget(("people",), "name")
    text = f"You are {known.value['name']}." if known else "We have not met."
    return {"messages": [await _reply(text).ainvoke(state["messages"])]}


tutorial_with_store = (
    StateGraph(Tutorial).add_node(chatbot_with_store).add_edge(START, "chatbot_with_store").compile()
)


@dataclass
class Taste:
    """What the graph `settings` may be given as its context."""

    model: str = "none"
    style: str = "none"


def tell_settings(state: Told, config: RunnableConfig, runtime: Runtime[Taste]) -> Told:
    known = {name: config["configurable"].get(name) for name in ("model", "style", "odd")}
    metadata = {name: config["metadata"].get(name) for name in ("from_run", "from_config", "graph_id")}
    return {
        "told": {
            "context": runtime.context and asdict(runtime.context),
            "configurable": known,
            "tags": config.get("tags"),
            "metadata": metadata,
        }
    }


settings = StateGraph(Told, context_schema=Taste)
settings.add_node(tell_settings).add_edge(START, "tell_settings")
settings = settings.compile()

deep = StateGraph(Steps)
deep.add_node("outer", nested)
deep.add_edge(START, "outer")
deep = deep.compile()


def ask_left(state: Steps) -> Steps:
    return {"steps": [f"left {interrupt('left?')}"]}


def ask_right(state: Steps) -> Steps:
    return {"steps": [f"right {interrupt('right?')}"]}


asks_both = StateGraph(Steps).add_node(ask_left).add_node(ask_right)
asks_both.add_edge(START, "ask_left").add_edge(START, "ask_right")
asks_both = asks_both.compile()

chat_inside = StateGraph(Chat).add_node("inner", chat).add_edge(START, "inner").compile()


class Door:
    """A type that has no JSON schema."""


@dataclass
class Odd:
    messages: Annotated[list[AnyMessage], add_messages]
    door: Door | None = None


def answer_odd(state: Odd) -> dict[str, Any]:
    return {"messages": [AIMessage(f"heard {state.messages[-1].text}")]}


undescribed = StateGraph(Odd).add_node(answer_odd).add_edge(START, "answer_odd").compile()
