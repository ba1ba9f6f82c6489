"""The headers by which LangSmith's SDK says to which trace a request belongs (`RemoteGraph` with
`distributed_tracing`): `langsmith-trace`, and `baggage` in the form of W3C.

A graph finds them in its configuration, as on LangGraph's server, and may go on with the trace. What can't be
read is left out: a trace must not keep a run from being made.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import orjson

TRACE_HEADER = "langsmith-trace"


def traced(baggage: str) -> dict[str, Any]:
    """What the baggage says of the trace: `langsmith-metadata`, `-tags` and `-project`."""
    found: dict[str, Any] = {}
    for item in baggage.split(","):
        name, _, value = item.strip().partition("=")
        text = unquote(value)
        if "\0" in text or "\\u0000" in text:
            continue
        if name == "langsmith-metadata" and isinstance(metadata := _json(text), dict):
            found[name] = metadata
        elif name == "langsmith-tags":
            found[name] = text.split(",")
        elif name == "langsmith-project":
            found[name] = text
    return found


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
