"""JSON schemas of what a graph takes, keeps and gives.

A type that has no JSON schema gives None. Before Python 3.12 pydantic takes no `typing.TypedDict`, which many
graphs use for their state: such a type is described field by field, a field that can't be as anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, get_type_hints, is_typeddict

from langgraph.pregel import Pregel
from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError

Graph = Pregel[Any, Any, Any, Any]
Schema = Mapping[str, Any]


def graph_schemas(graph: Graph) -> Schema:
    """The schemas of one graph (or subgraph), without an id."""
    context = _schema(graph.get_context_jsonschema, _type(graph, "context_schema"))
    return {
        "input_schema": _schema(graph.get_input_jsonschema, _type(graph, "input_schema")),
        "output_schema": _schema(graph.get_output_jsonschema, _type(graph, "output_schema")),
        "state_schema": _state_schema(graph),
        "config_schema": _config_schema(graph, context),
        "context_schema": context,
    }


def _config_schema(graph: Graph, context: Any) -> Schema:
    """What the graph reads of `config`: its context, which older clients give as `configurable`."""
    schema: dict[str, Any] = {"title": graph.get_name("Config"), "type": "object", "properties": {}}
    if isinstance(context, Mapping):
        inner = {name: part for name, part in context.items() if name != "$defs"}
        schema["properties"] = {"configurable": {**inner, "default": None}}
        if "$defs" in context:
            schema["$defs"] = context["$defs"]
    return schema


def _state_schema(graph: Graph) -> Schema | None:
    state = _type(graph, "state_schema")
    if state is None:
        return _schema(graph.get_output_jsonschema, None)
    return _schema(partial(_of, state), state)


def _type(graph: Graph, name: str) -> Any:
    return getattr(getattr(graph, "builder", None), name, None)


def _of(some_type: Any) -> Schema:
    return TypeAdapter(some_type).json_schema()


def _schema(make: Callable[[], Schema | None], of: Any) -> Schema | None:
    try:
        return make()
    except (PydanticUserError, TypeError, NotImplementedError):
        return _by_fields(of) if is_typeddict(of) else None


def _by_fields(of: Any) -> Schema:
    properties: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    for name, hint in get_type_hints(of, include_extras=True).items():
        field = dict(_schema(partial(_of, hint), None) or {})
        definitions.update(field.pop("$defs", {}))
        properties[name] = {"title": name.replace("_", " ").title(), **field}
    required = {"required": sorted(of.__required_keys__)} if of.__required_keys__ else {}
    found: dict[str, Any] = {"title": of.__name__, "type": "object", "properties": properties, **required}
    return {"$defs": definitions, **found} if definitions else found
