"""Assistants as MCP tools: their names, their arguments, and a run's values as the result of a call. Pure
functions.

A tool's name is the assistant's name in the characters that MCP allows. If several assistants share a name,
the oldest keeps it, and the others append the beginning of their ids.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from langchain_core import messages

from lgs_runtime.model import Assistant, Json, unrooted
from lgs_runtime.streams.json_encoding import encode

NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_.-]")
LONGEST_NAME = 128
ID_IN_NAME = 8
MESSAGES = frozenset(name for name in messages.__all__ if name.endswith(("Message", "MessageChunk")))
REFERENCE = "#/$defs/"
INPUT = "input"
"""The one argument of a tool whose graph takes something other than an object."""
CHAT: Json = {
    "description": "What to say to the assistant: a text, or messages with role and content.",
    "anyOf": [
        {"type": "string"},
        {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"role": {"type": "string"}, "content": {"type": "string"}},
                "required": ["role", "content"],
            },
        },
    ],
}


def named_tools(assistants: Iterable[Assistant]) -> dict[str, Assistant]:
    """The assistants by tool name, oldest first."""
    tools: dict[str, Assistant] = {}
    for assistant in sorted(assistants, key=lambda one: (one.created_at, one.assistant_id)):
        name = NOT_IN_NAMES.sub("_", assistant.name)[:LONGEST_NAME] or "_"
        if name in tools:
            kept = LONGEST_NAME - ID_IN_NAME - 1
            name = f"{name[:kept]}_{assistant.assistant_id[:ID_IN_NAME]}"
        tools[name] = assistant
    return tools


def tool_json(name: str, assistant: Assistant, input_schema: Any) -> dict[str, Any]:
    """A tool as `tools/list` describes it."""
    return {
        "name": name,
        "title": assistant.name,
        "description": assistant.description or f"Runs the assistant {assistant.name}.",
        "inputSchema": arguments_schema(input_schema),
        "annotations": {"readOnlyHint": False, "openWorldHint": True},
    }


def takes_object(schema: Any) -> bool:
    """Whether a graph takes an object; its fields are then the tool's arguments."""
    return not isinstance(schema, Mapping) or schema.get("type", "object") == "object"


def arguments_schema(schema: Any) -> dict[str, Any]:
    """The JSON schema of a tool's arguments. Lists of messages are described briefly, as `CHAT`: the schemas
    of all message types would fill a model's context."""
    if not isinstance(schema, Mapping):
        return {"type": "object"}
    if not takes_object(schema):
        inner = {name: part for name, part in schema.items() if name != "$defs"}
        definitions = {"$defs": schema["$defs"]} if "$defs" in schema else {}
        return {"type": "object", "properties": {INPUT: inner}, "required": [INPUT], **definitions}
    fields = {
        name: {"title": field.get("title", name), **CHAT} if _is_chat(field) else field
        for name, field in (schema.get("properties") or {}).items()
    }
    simple = {**schema, "type": "object", **({"properties": fields} if fields else {})}
    definitions = simple.pop("$defs", {})
    used = _used(simple, definitions)
    return {**simple, **({"$defs": used} if used else {})}


def _is_chat(field: Any) -> bool:
    if not isinstance(field, Mapping) or field.get("type") != "array":
        return False
    items = field.get("items") or {}
    kinds = items.get("oneOf") or items.get("anyOf") or [items]
    return all(kind.get("$ref", "").removeprefix(REFERENCE) in MESSAGES for kind in kinds)


def _used(schema: Any, definitions: Mapping[str, Any]) -> dict[str, Any]:
    """The definitions that a schema refers to, directly or through other definitions."""
    used: dict[str, Any] = {}
    left = [schema]
    while left:
        part = left.pop()
        if isinstance(part, list):
            left.extend(part)
        elif isinstance(part, Mapping):
            left.extend(part.values())
            reference = part.get("$ref")
            name = reference.removeprefix(REFERENCE) if isinstance(reference, str) else ""
            if name in definitions and name not in used:
                used[name] = definitions[name]
                left.append(definitions[name])
    return used


def call_result(values: Json) -> dict[str, Any]:
    """The values of a run as the result of a tool. Values that are not an object stand under `result`, as in
    the official SDK. If the graph asks a question, the result is an error with that question: this client
    can't be asked."""
    if error := values.get("__error__"):
        return {"content": [_text(f"{error['error']}: {error['message']}")], "isError": True}
    if questions := values.get("__interrupt__"):
        asked = [question.get("value") for question in questions]
        said = f"the assistant asks, and this client can't be asked: {encode(asked).decode()}"
        return {"content": [_text(said)], "isError": True}
    found = unrooted(values)
    said = found if isinstance(found, str) else encode(found).decode()
    whole = values if found is values else {"result": found}
    return {"content": [_text(said)], "structuredContent": whole, "isError": False}


def declined_result() -> dict[str, Any]:
    """The result of a call whose question a person declined to answer."""
    return {"content": [_text("the question of the assistant was declined")], "isError": True}


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}
