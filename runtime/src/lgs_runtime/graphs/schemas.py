"""JSON schemas of a graph's input, state, output, config and context, field by field like those of
LangGraph's own server.

A type without a JSON schema gives None, whatever the reason: an application's types may be anything. Before
Python 3.12 pydantic takes no `typing.TypedDict`, which many graphs use for their state: such a type is
described field by field, and a field that can't be described allows anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, get_type_hints, is_typeddict

import structlog
from langchain_core.utils.pydantic import create_model
from langgraph.pregel import Pregel
from pydantic import TypeAdapter

Graph = Pregel[Any, Any, Any, Any]
Schema = Mapping[str, Any]
SET_BY_THE_SERVER = frozenset({"checkpoint_id", "checkpoint_ns", "thread_id"})
log = structlog.get_logger(__name__)


def graph_schemas(graph: Graph) -> Schema:
    """The schemas of one graph or subgraph, without an id."""
    return {
        "input_schema": _schema(graph.get_input_jsonschema, _type(graph, "input_schema")),
        "output_schema": _schema(graph.get_output_jsonschema, _type(graph, "output_schema")),
        "state_schema": _schema(partial(_state_schema, graph), None),
        "config_schema": _config_schema(graph),
        "context_schema": _schema(graph.get_context_jsonschema, graph.context_schema),
    }


def _config_schema(graph: Graph) -> Schema | None:
    """The schema of what the graph reads from `config["configurable"]`: its context, which older clients pass
    there. Empty if it reads nothing."""
    if graph.context_schema is None:
        return {}
    schema = _schema(partial(_of, graph.context_schema), graph.context_schema)
    if schema is None or "properties" not in schema:
        return schema
    fields = {name: part for name, part in schema["properties"].items() if name not in SET_BY_THE_SERVER}
    return {**schema, "properties": fields}


def _state_schema(graph: Graph) -> Schema:
    """The schema of all channels of the graph, by what may be written to each."""
    fields = {name: (_writable(graph, name), None) for name in graph.stream_channels_list}
    return create_model(graph.get_name("State"), **fields).model_json_schema()


def _writable(graph: Graph, name: str) -> Any:
    """The type of a channel's updates; `Any` if that has no schema."""
    written: Any = getattr(graph.channels[name], "UpdateType", Any)
    try:
        create_model(name, __root__=(written, None)).model_json_schema()
    except Exception:  # noqa: BLE001
        return Any
    return written


def _type(graph: Graph, name: str) -> Any:
    return getattr(getattr(graph, "builder", None), name, None)


def _of(some_type: Any) -> Schema:
    return TypeAdapter(some_type).json_schema()


def _schema(make: Callable[[], Schema | None], of: Any) -> Schema | None:
    try:
        return make()
    except Exception as wrong:  # noqa: BLE001
        described = _by_fields(of) if is_typeddict(of) else None
        if described is None:
            log.warning("graph.schema_unknown", of=str(of or make), reason=str(wrong))
        return described


def _by_fields(of: Any) -> Schema | None:
    try:
        hints = get_type_hints(of, include_extras=True)
    except Exception:  # noqa: BLE001
        return None
    properties: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    for name, hint in hints.items():
        field = dict(_field(hint))
        definitions.update(field.pop("$defs", {}))
        properties[name] = {"title": name.replace("_", " ").title(), **field}
    required = {"required": sorted(of.__required_keys__)} if of.__required_keys__ else {}
    found: dict[str, Any] = {"title": of.__name__, "type": "object", "properties": properties, **required}
    return {"$defs": definitions, **found} if definitions else found


def _field(hint: Any) -> Schema:
    try:
        return _of(hint)
    except Exception:  # noqa: BLE001
        return {}
