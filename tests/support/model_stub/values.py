"""A value that satisfies a JSON schema, always the same one for the same schema."""

from __future__ import annotations

import re
from typing import Any

NEGATIVE = re.compile(r"^(need|require|ask|should|has_more|is_error)", re.IGNORECASE)
DEPTH = 6


def satisfy(schema: dict[str, Any]) -> Any:
    """The value; where a schema allows anything, an empty object."""
    definitions = {**schema.get("definitions", {}), **schema.get("$defs", {})}
    return _value(schema, definitions, "value", 0)


def _value(schema: dict[str, Any], definitions: dict[str, Any], name: str, depth: int) -> Any:
    schema = _resolved(schema, definitions)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type") or ("object" if "properties" in schema else "string")
    kind = next((each for each in kind if each != "null"), "null") if isinstance(kind, list) else kind
    if kind == "object":
        fields = schema.get("properties", {})
        wanted = schema.get("required") or ([] if depth >= DEPTH else list(fields))
        return {key: _value(fields.get(key, {}), definitions, key, depth + 1) for key in wanted}
    if kind == "array":
        count = max(schema.get("minItems", 0), 0 if depth >= DEPTH else 1)
        return [_value(schema.get("items", {}), definitions, name, depth + 1)] * count
    if kind == "boolean":
        return not NEGATIVE.match(name)
    if kind in ("integer", "number"):
        return max(schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1), 1)
    return None if kind == "null" else _text(schema, name)


def _resolved(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    while True:
        if "$ref" in schema:
            schema = definitions.get(schema["$ref"].rsplit("/", 1)[-1], {})
        elif schema.get("allOf"):
            merged: dict[str, Any] = {}
            for part in schema["allOf"]:
                merged |= _resolved(part, definitions)
            schema = merged
        elif schema.get("anyOf") or schema.get("oneOf"):
            choices = schema.get("anyOf") or schema.get("oneOf") or [{}]
            schema = next((each for each in choices if each.get("type") != "null"), choices[0])
        else:
            return schema


def _text(schema: dict[str, Any], name: str) -> str:
    formats = {"date-time": "2026-01-01T09:00:00Z", "date": "2026-01-01", "email": "someone@example.com"}
    if schema.get("format") in formats:
        return formats[schema["format"]]
    if "url" in name.lower():
        return "http://127.0.0.1:9/"
    if "email" in name.lower():
        return "someone@example.com"
    text = f"the {name.replace('_', ' ')}"
    return text.ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength", 200)]
