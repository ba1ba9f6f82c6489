"""The headers in which LangSmith's SDK names the trace of a request (`RemoteGraph` with
`distributed_tracing`): `langsmith-trace`, and `baggage` in the W3C format.

A graph finds them in its configuration, as on LangGraph's server, and may continue the trace. What can't be
read is left out: a broken trace header must not prevent a run.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import orjson

TRACE_HEADER = "langsmith-trace"


def traced(baggage: str) -> dict[str, Any]:
    """The baggage's items about the trace: `langsmith-metadata`, `-tags` and `-project`."""
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
