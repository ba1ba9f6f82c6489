"""Graphs: every form in which they may be given, and what is said of one that can't be loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.store.memory import InMemoryStore
from structlog.testing import capture_logs

from lgs_runtime.errors import ConfigError, NotFound, ProviderFailed
from lgs_runtime.graphs.failures import graph_called
from lgs_runtime.graphs.loader import load_graph
from lgs_runtime.graphs.manifest import GraphSpec
from lgs_runtime.graphs.registry import GraphRegistry, default_assistant_id

GOOD = """
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing_extensions import TypedDict
from langgraph.graph import StateGraph, START

class State(TypedDict):
    text: str

class Context(TypedDict):
    style: str

builder = StateGraph(State, context_schema=Context)
builder.add_node("node", lambda state: {"text": state["text"] + "!"})
builder.add_edge(START, "node")
compiled = builder.compile()

def plain(): return builder
def with_config(config): return builder.compile()
async def awaited(config): return compiled

@asynccontextmanager
async def managed(config):
    yield compiled

@contextmanager
def held():
    yield compiled

def make_with_runtime(runtime): return compiled
def make_annotated(why: "ServerRuntime", of: "RunnableConfig"): return compiled
def make_by_keyword(*, config, runtime, size=3): return compiled
def make_positional(config, runtime, /): return compiled
def make_wanting(config, secret): return compiled

def make_told(config, runtime):
    execution = runtime.execution_runtime
    with Path(__file__).with_name("calls").open("a") as calls:
        print(runtime.access_context, execution and execution.context, type(runtime.store), file=calls)
    return compiled

class Named(TypedDict):
    name: str

def make_named(config):
    with Path(__file__).with_name("calls").open("a") as calls:
        print("made", file=calls)
    made = StateGraph(Named if config.get("configurable", {}).get("named") else State)
    made.add_node("node", lambda state: state)
    made.add_edge(START, "node")
    return made.compile()

def lying(): return 42
number = 7
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "good_graphs.py").write_text(GOOD)
    return tmp_path


def registry(source: Path, **specs: str) -> GraphRegistry:
    return GraphRegistry.load(
        {name: GraphSpec(path) for name, path in specs.items()},
        source=source,
        import_paths=(source,),
        checkpointer=InMemorySaver(),
        store=InMemoryStore(),
    )


@pytest.mark.parametrize(
    "variable",
    [
        "builder",
        "compiled",
        "plain",
        "with_config",
        "awaited",
        "managed",
        "held",
        "make_with_runtime",
        "make_annotated",
        "make_by_keyword",
        "make_positional",
    ],
)
@pytest.mark.parametrize("location", ["./good_graphs.py", "good_graphs"])
async def test_a_graph_may_be_given_in_any_form(source: Path, location: str, variable: str) -> None:
    graphs = registry(source, g=f"{location}:{variable}")

    async with graphs.open("g") as graph:
        answer = await graph.ainvoke({"text": "hi"}, {"configurable": {"thread_id": "1"}})

    assert answer == {"text": "hi!"}
    assert isinstance(graph.checkpointer, InMemorySaver)


async def test_a_compiled_graph_is_prepared_once(source: Path) -> None:
    graphs = registry(source, g="good_graphs.py:compiled")

    async with graphs.open("g") as one, graphs.open("g") as other:
        assert one is other


OWN = {"a": "kept", "b": "keeps", "c": "compiled"}


async def test_what_a_graph_is_compiled_with_and_does_not_get_is_logged_once_for_all(source: Path) -> None:
    text = (source / "good_graphs.py").read_text()
    own = """
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.store.memory import InMemoryStore
kept = builder.compile(checkpointer=InMemorySaver(), store=InMemoryStore())
keeps = builder.compile(checkpointer=InMemorySaver())
"""
    (source / "own_persistence.py").write_text(text + own)

    with capture_logs() as logs:
        graphs = registry(source, **{name: f"own_persistence:{graph}" for name, graph in OWN.items()})

    said = {each["part"]: each["graphs"] for each in logs if each["event"] == "graphs.own_persistence"}
    assert said == {"checkpointer": "a, b", "store": "a"}
    async with graphs.open("a") as a, graphs.open("c") as c:
        assert (a.checkpointer, a.store) == (c.checkpointer, c.store)


async def test_a_factory_is_told_why_it_is_called(source: Path) -> None:
    graphs = registry(source, g="good_graphs.py:make_told")

    async with graphs.open("g", access="threads.create_run", context={"style": "dry"}):
        pass
    async with graphs.open("g"):
        pass
    await graphs.schemas("g")

    told = (source / "calls").read_text().splitlines()
    assert told == [
        f"threads.create_run {{'style': 'dry'}} {InMemoryStore}",
        f"threads.read None {InMemoryStore}",
        f"assistants.read None {InMemoryStore}",
    ]


async def test_a_factory_that_gives_no_graph_is_told(source: Path) -> None:
    graphs = registry(source, g="good_graphs.py:lying")

    with pytest.raises(ConfigError, match="it gives an int; it must give a compiled graph"):
        async with graphs.open("g"):
            pass


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("missing.py:graph", "missing.py: must be a file that exists"),
        ("./agent.ts:graph", "./agent.ts: must be Python; this server runs no JavaScript"),
        (
            "good_graphs.py:grap",
            "has no variable grap; graphs and functions in it: awaited, builder, compiled",
        ),
        ("good_graphs.py:number", "number is an int; it must be a compiled graph"),
        ("good_graphs.py:make_wanting", "needs nothing but a config and a ServerRuntime"),
        ("good_graphs.py:State", "it must be a compiled graph"),
        ("no_such_module:graph", "No module named 'no_such_module'"),
    ],
)
def test_a_graph_that_is_not_there_is_told_with_what_is(source: Path, path: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_graph("agent", GraphSpec(path), source)

    assert str(raised.value).startswith(f"graphs.agent: {path}: ")
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\nraise KeyError('no key')\n", "KeyError: 'no key'"),
        ("x = 1\ndef f(:\n", "SyntaxError: invalid syntax"),
        ("x = 1\nimport not_installed\n", "No module named 'not_installed'"),
        (
            "x = 1\nraise ValueError('1 error for Model\\n  key: missing\\nread more')\n",
            "1 error for Model key: missing",
        ),
        ("x = 1\nraise SystemExit('no key')\n", "SystemExit: no key"),
        ("x = 1\nraise ExceptionGroup('two', [ValueError('a'), KeyError('b')])\n", "two (2 sub-exceptions)"),
    ],
)
def test_a_module_that_raises_at_import_is_told_with_its_line(source: Path, text: str, said: str) -> None:
    (source / "bad.py").write_text(text)

    with pytest.raises(ConfigError) as raised:
        load_graph("agent", GraphSpec("./bad.py:graph"), source)

    assert said in str(raised.value)
    assert f"{source}/bad.py:2" in str(raised.value)


async def test_a_graph_tells_its_schemas(source: Path) -> None:
    graphs = registry(source, g="good_graphs.py:compiled")

    schemas = await graphs.schemas("g")

    assert schemas["graph_id"] == "g"
    assert schemas["input_schema"]["properties"]["text"]["type"] == "string"
    assert schemas["state_schema"]["properties"]["text"]["type"] == "string"
    assert schemas["config_schema"]["properties"]["style"]["type"] == "string"
    assert schemas["context_schema"]["properties"]["style"]["type"] == "string"


async def test_the_schemas_of_a_factory_are_those_of_the_graph_that_it_makes_for_a_configuration(
    source: Path,
) -> None:
    graphs = registry(source, g="good_graphs.py:make_named")
    configs: list[RunnableConfig | None] = [
        None,
        *({"configurable": {"named": each}} for each in (True, False)),
    ]

    found = [await graphs.schemas("g", config) for config in [*configs, *configs]]

    assert [list(each["input_schema"]["properties"]) for each in found] == [["text"], ["name"], ["text"]] * 2
    assert len((source / "calls").read_text().split()) == 5, "without a configuration it is asked once"


async def test_a_state_of_any_typed_dict_has_a_schema(source: Path) -> None:
    text = GOOD.replace("from typing_extensions import", "from typing import")
    (source / "plain_types.py").write_text(text)
    graphs = registry(source, g="plain_types.py:compiled")

    schemas = await graphs.schemas("g")

    for name in ("input_schema", "output_schema", "state_schema"):
        assert schemas[name]["properties"]["text"]["type"] == "string"
    assert schemas["input_schema"]["required"] == schemas["output_schema"]["required"] == ["text"]


async def test_a_graph_that_is_not_configured_is_not_found(source: Path) -> None:
    graphs = registry(source, g="good_graphs.py:compiled")

    with pytest.raises(NotFound, match="graph 'other' not found; the graphs of this service are: g"):
        async with graphs.open("other"):
            pass


def test_the_default_assistant_has_the_id_it_has_everywhere() -> None:
    assert default_assistant_id("agent") == "fe096781-5601-53d2-b2f6-0d3403f7e9ca"


def test_what_the_code_of_a_graph_raises_is_told_in_its_words_and_a_fault_of_the_service_as_it_is() -> None:
    with pytest.raises(ProviderFailed, match="graph g: ValueError: no city"), graph_called("g"):
        raise ValueError("no city")
    with pytest.raises(NotFound, match="thread"), graph_called("g"):
        raise NotFound("thread", "one")
