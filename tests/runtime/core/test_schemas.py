"""Schemas of graphs, as LangGraph's own server (langgraph-api 0.16.7) answered those of the same graphs."""

from __future__ import annotations

import operator
import typing
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from langgraph.func import entrypoint
from langgraph.graph import START, StateGraph
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from lgs_runtime.graphs.schemas import graph_schemas


class Asked(TypedDict):
    question: str


class Answered(TypedDict):
    answer: str


class Known(TypedDict, total=False):
    question: str
    answer: str
    notes: Annotated[list[str], operator.add]


class Item(BaseModel):
    name: str


class Settings(BaseModel):
    """How it answers."""

    model: Literal["small", "large"] = Field("small", description="which")
    item: Item | None = None


@dataclass
class Depth:
    depth: int = 3
    thread_id: str = "never told"


class Plain(typing.TypedDict):
    model: str


class Tree(BaseModel):
    branches: list[Tree] = []


class Odd:
    pass


class Oddities(TypedDict, total=False):
    odd: Odd
    text: str


@dataclass
class OddContext:
    odd: Odd


def compiled(state: Any, **schemas: Any) -> Any:
    builder = StateGraph(state, **schemas).add_node("a", lambda state: {}).add_edge(START, "a")
    return builder.compile(name="agent")


def test_state_is_what_may_be_written_input_and_output_are_what_the_graph_says() -> None:
    schemas = graph_schemas(compiled(Known, input_schema=Asked, output_schema=Answered))

    text = {"type": "string"}
    assert schemas == {
        "input_schema": {
            "properties": {"question": {"title": "Question", **text}},
            "required": ["question"],
            "title": "Asked",
            "type": "object",
        },
        "output_schema": {
            "properties": {"answer": {"title": "Answer", **text}},
            "required": ["answer"],
            "title": "Answered",
            "type": "object",
        },
        "state_schema": {
            "properties": {
                "question": {"default": None, "title": "Question", **text},
                "answer": {"default": None, "title": "Answer", **text},
                "notes": {"default": None, "items": text, "title": "Notes", "type": "array"},
            },
            "title": "agent_state",
            "type": "object",
        },
        "config_schema": {},
        "context_schema": None,
    }


def test_the_configuration_is_the_context_not_nested() -> None:
    schemas = graph_schemas(compiled(Known, context_schema=Settings))

    item = {"name": {"title": "Name", "type": "string"}}
    assert schemas["config_schema"] == schemas["context_schema"]
    assert schemas["config_schema"] == {
        "$defs": {"Item": {"properties": item, "required": ["name"], "title": "Item", "type": "object"}},
        "description": "How it answers.",
        "properties": {
            "model": {
                "default": "small",
                "description": "which",
                "enum": ["small", "large"],
                "title": "Model",
                "type": "string",
            },
            "item": {"anyOf": [{"$ref": "#/$defs/Item"}, {"type": "null"}], "default": None},
        },
        "title": "Settings",
        "type": "object",
    }


def test_what_the_server_sets_is_no_part_of_the_configuration() -> None:
    schemas = graph_schemas(compiled(Known, context_schema=Depth))

    depth = {"default": 3, "title": "Depth", "type": "integer"}
    assert schemas["config_schema"] == {"properties": {"depth": depth}, "title": "Depth", "type": "object"}
    assert set(schemas["context_schema"]["properties"]) == {"depth", "thread_id"}


def test_a_graph_whose_state_is_no_object_has_schemas() -> None:
    @entrypoint()
    async def number(given: int) -> int:
        return given

    number.name = "number"
    listed = compiled(Annotated[list, operator.add])

    of_number, of_list = graph_schemas(number), graph_schemas(listed)

    assert of_number["input_schema"] == {"title": "number_input", "type": "integer"}
    assert of_number["output_schema"] == {"title": "number_output", "type": "integer"}
    assert of_number["state_schema"]["properties"]["__end__"]["type"] == "integer"
    assert of_list["state_schema"] == {"default": None, "items": {}, "title": "agent_state", "type": "array"}


@pytest.mark.parametrize("context", [None, OddContext])
def test_a_type_without_a_schema_hides_only_itself(context: Any) -> None:
    schemas = graph_schemas(compiled(Oddities, context_schema=context))

    assert schemas["state_schema"] == {
        "properties": {
            "odd": {"default": None, "title": "Odd"},
            "text": {"default": None, "title": "Text", "type": "string"},
        },
        "title": "agent_state",
        "type": "object",
    }
    assert schemas["context_schema"] is None
    assert schemas["config_schema"] == (None if context else {})


def test_a_context_of_any_typed_dict_has_a_schema() -> None:
    schemas = graph_schemas(compiled(Known, context_schema=Plain))

    assert schemas["context_schema"] == schemas["config_schema"]
    assert schemas["context_schema"]["properties"] == {"model": {"title": "Model", "type": "string"}}


def test_a_context_that_holds_itself_has_a_schema() -> None:
    schemas = graph_schemas(compiled(Known, context_schema=Tree))

    assert schemas["config_schema"] == schemas["context_schema"]
    assert set(schemas["context_schema"]["$defs"]["Tree"]["properties"]) == {"branches"}


def test_a_type_that_nobody_can_look_up_is_no_error() -> None:
    class Lost(TypedDict, total=False):
        text: str

    graph = compiled(Lost)
    Lost.__annotations__["text"] = typing.ForwardRef("Nowhere")
    graph.builder.input_schema.__annotations__["text"] = typing.ForwardRef("Nowhere")

    assert graph_schemas(graph)["state_schema"]["properties"]["text"]["type"] == "string"
