"""OpenAI's responses: reading a request, and the answer whole or as events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from support.model_stub.decide import Asked, Reply, Tool
from support.model_stub.openai_chat import demanded, usage, words


def read(body: dict[str, Any]) -> Asked:
    """The request in no vendor's words."""
    items = body.get("input", [])
    items = [{"role": "user", "content": items}] if isinstance(items, str) else items
    spoken = [at for at, item in enumerate(items) if item.get("role") == "user"]
    since = items[spoken[-1] + 1 :] if spoken else items
    wanted = (body.get("text") or {}).get("format") or {}
    return Asked(
        user=words(items[spoken[-1]]["content"]) if spoken else "nothing",
        called=tuple(item["name"] for item in since if item.get("type") == "function_call"),
        tools=tuple(
            Tool(each["name"], each.get("parameters") or {})
            for each in body.get("tools") or []
            if each.get("type") == "function"
        ),
        demanded=demanded(body.get("tool_choice")),
        structure=wanted.get("schema") if wanted.get("type") == "json_schema" else None,
        turns=len(items),
    )


def whole(body: dict[str, Any], asked: Asked, reply: Reply, ident: str) -> dict[str, Any]:
    """The answer in one piece."""
    return {
        **_frame(body, ident, "completed"),
        "output": [_item(reply, ident)],
        "usage": _usage(asked, reply),
    }


def events(body: dict[str, Any], asked: Asked, reply: Reply, ident: str) -> Iterator[dict[str, Any]]:
    """The answer as the events of a stream, each numbered."""
    for number, event in enumerate(_events(body, asked, reply, ident)):
        yield {**event, "sequence_number": number}


def _events(body: dict[str, Any], asked: Asked, reply: Reply, ident: str) -> Iterator[dict[str, Any]]:
    started = {**_frame(body, ident, "in_progress"), "output": [], "usage": None}
    item = _item(reply, ident)
    yield {"type": "response.created", "response": started}
    yield {"type": "response.in_progress", "response": started}
    place = {"output_index": 0, "item_id": item["id"]}
    if reply.call:
        empty = {**item, "arguments": "", "status": "in_progress"}
        yield {"type": "response.output_item.added", "output_index": 0, "item": empty}
        yield {"type": "response.function_call_arguments.delta", **place, "delta": item["arguments"]}
        yield {"type": "response.function_call_arguments.done", **place, "arguments": item["arguments"]}
    else:
        part = {"type": "output_text", "text": "", "annotations": []}
        inner = {**place, "content_index": 0}
        yield {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}}
        yield {"type": "response.content_part.added", **inner, "part": part}
        for piece in reply.pieces:
            yield {"type": "response.output_text.delta", **inner, "delta": piece, "logprobs": []}
        yield {"type": "response.output_text.done", **inner, "text": reply.text, "logprobs": []}
        yield {"type": "response.content_part.done", **inner, "part": {**part, "text": reply.text}}
    yield {"type": "response.output_item.done", "output_index": 0, "item": item}
    yield {"type": "response.completed", "response": whole(body, asked, reply, ident)}


def _frame(body: dict[str, Any], ident: str, status: str) -> dict[str, Any]:
    return {
        "id": f"resp_{ident}",
        "object": "response",
        "created_at": 1,
        "status": status,
        "model": body.get("model", "stub"),
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "temperature": 1.0,
        "top_p": 1.0,
        "text": body.get("text") or {"format": {"type": "text"}},
    }


def _item(reply: Reply, ident: str) -> dict[str, Any]:
    if reply.call:
        arguments = json.dumps(reply.arguments)
        call = {"name": reply.call, "arguments": arguments, "call_id": f"call_{ident}"}
        return {"type": "function_call", "id": f"fc_{ident}", "status": "completed", **call}
    content = [{"type": "output_text", "text": reply.text, "annotations": []}]
    message = {"role": "assistant", "status": "completed", "content": content}
    return {"type": "message", "id": f"msg_{ident}", **message}


def _usage(asked: Asked, reply: Reply) -> dict[str, Any]:
    tokens = usage(asked, reply)
    return {
        "input_tokens": tokens["prompt_tokens"],
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": tokens["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": tokens["total_tokens"],
    }
