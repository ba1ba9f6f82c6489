"""Anthropic's messages: reading a request, and the answer whole or as events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from support.model_stub.decide import Asked, Reply, Tool
from support.model_stub.openai_chat import usage, words


def read(body: dict[str, Any]) -> Asked:
    """The request in no vendor's words."""
    messages = body.get("messages", [])
    spoken = [at for at, message in enumerate(messages) if message["role"] == "user" and _says(message)]
    since = messages[spoken[-1] + 1 :] if spoken else messages
    parts = [part for message in since if isinstance(message["content"], list) for part in message["content"]]
    choice = body.get("tool_choice") or {}
    shape = body.get("output_format") or (body.get("output_config") or {}).get("format") or {}
    return Asked(
        user=words(messages[spoken[-1]]["content"]) if spoken else "nothing",
        called=tuple(part["name"] for part in parts if part.get("type") == "tool_use"),
        tools=tuple(
            Tool(each["name"], each["input_schema"])
            for each in body.get("tools") or []
            if "input_schema" in each
        ),
        demanded={"tool": choice.get("name"), "any": "any"}.get(choice.get("type", "")),
        structure=shape.get("schema"),
        turns=len(messages),
    )


def _says(message: dict[str, Any]) -> bool:
    """Whether the user says something in it, rather than a tool that answers."""
    content = message["content"]
    return isinstance(content, str) or any(part.get("type") == "text" for part in content)


def whole(body: dict[str, Any], asked: Asked, reply: Reply, ident: str) -> dict[str, Any]:
    """The answer in one piece."""
    block = _block(reply, ident)
    return {
        **_frame(body, asked, ident),
        "content": [block],
        "stop_reason": _stop(reply),
        "usage": _usage(asked, reply),
    }


def events(body: dict[str, Any], asked: Asked, reply: Reply, ident: str) -> Iterator[dict[str, Any]]:
    """The answer as the events of a stream."""
    begun = {**_frame(body, asked, ident), "content": [], "stop_reason": None}
    begun["usage"] = {**_usage(asked, reply), "output_tokens": 1}
    yield {"type": "message_start", "message": begun}
    if reply.call:
        block = {**_block(reply, ident), "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": json.dumps(reply.arguments)}]
    else:
        block = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": piece} for piece in reply.pieces]
    yield {"type": "content_block_start", "index": 0, "content_block": block}
    for delta in deltas:
        yield {"type": "content_block_delta", "index": 0, "delta": delta}
    yield {"type": "content_block_stop", "index": 0}
    ended = {"stop_reason": _stop(reply), "stop_sequence": None}
    yield {"type": "message_delta", "delta": ended, "usage": _usage(asked, reply)}
    yield {"type": "message_stop"}


def _frame(body: dict[str, Any], asked: Asked, ident: str) -> dict[str, Any]:
    model = body.get("model", "stub")
    return {
        "id": f"msg_{ident}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "stop_sequence": None,
    }


def _block(reply: Reply, ident: str) -> dict[str, Any]:
    if reply.call:
        return {"type": "tool_use", "id": f"toolu_{ident}", "name": reply.call, "input": reply.arguments}
    return {"type": "text", "text": reply.text}


def _stop(reply: Reply) -> str:
    return "tool_use" if reply.call else "end_turn"


def _usage(asked: Asked, reply: Reply) -> dict[str, int]:
    tokens = usage(asked, reply)
    return {"input_tokens": tokens["prompt_tokens"], "output_tokens": tokens["completion_tokens"]}
