"""OpenAI's chat completions: reading a request, and the answer whole or as chunks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from support.model_stub.decide import Asked, Reply, Tool


def read(body: dict[str, Any]) -> Asked:
    """The request in no vendor's words."""
    messages = body.get("messages", [])
    spoken = [at for at, message in enumerate(messages) if message["role"] == "user"]
    since = messages[spoken[-1] + 1 :] if spoken else messages
    called = [call["function"]["name"] for message in since for call in message.get("tool_calls") or []]
    tools = [each["function"] for each in body.get("tools") or [] if each.get("type") == "function"]
    return Asked(
        user=words(messages[spoken[-1]]["content"]) if spoken else "nothing",
        called=tuple(called),
        tools=tuple(Tool(each["name"], each.get("parameters") or {}) for each in tools),
        demanded=demanded(body.get("tool_choice")),
        structure=_structure(body.get("response_format")),
        turns=len(messages),
    )


def words(content: Any) -> str:
    """The text of a message, which is a string or a list of parts."""
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content or [] if isinstance(part, dict))


def demanded(choice: Any) -> str | None:
    """The tool that has to be called: its name, "any", or none."""
    if isinstance(choice, dict):
        return choice.get("function", choice).get("name")
    return "any" if choice in ("required", "any") else None


def _structure(wanted: dict[str, Any] | None) -> dict[str, Any] | None:
    kind = (wanted or {}).get("type")
    if kind == "json_schema":
        return (wanted or {})["json_schema"].get("schema", {})
    return {"type": "object", "properties": {"query": {"type": "string"}}} if kind == "json_object" else None


def usage(asked: Asked, reply: Reply) -> dict[str, int]:
    """Tokens: a function of the request's length in messages, so that clocks in prompts don't show."""
    given, made = 10 * asked.turns, len(reply.pieces) + 10 * bool(reply.call)
    return {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}


def whole(body: dict[str, Any], asked: Asked, reply: Reply, ident: str) -> dict[str, Any]:
    """The answer in one piece."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None, "refusal": None}
    if reply.call:
        message["tool_calls"] = [_call(reply, ident)]
    return {
        "id": f"chatcmpl-{ident}",
        "object": "chat.completion",
        "created": 1,
        "model": body.get("model", "stub"),
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(reply)}],
        "usage": usage(asked, reply),
    }


def chunks(body: dict[str, Any], asked: Asked, reply: Reply, ident: str) -> Iterator[dict[str, Any]]:
    """The answer in pieces."""
    frame = {
        "id": f"chatcmpl-{ident}",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": body.get("model"),
    }

    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {**frame, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], "usage": None}

    yield chunk({"role": "assistant", "content": ""})
    for piece in reply.pieces:
        yield chunk({"content": piece})
    if reply.call:
        called = _call(reply, ident)
        arguments = called["function"]["arguments"]
        begun = {**called, "index": 0, "function": {"name": reply.call, "arguments": ""}}
        yield chunk({"tool_calls": [begun]})
        yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]})
    yield chunk({}, _finish(reply))
    if (body.get("stream_options") or {}).get("include_usage"):
        yield {**frame, "choices": [], "usage": usage(asked, reply)}


def _call(reply: Reply, ident: str) -> dict[str, Any]:
    function = {"name": reply.call, "arguments": json.dumps(reply.arguments)}
    return {"id": f"call_{ident}", "type": "function", "function": function}


def _finish(reply: Reply) -> str:
    return "tool_calls" if reply.call else "stop"
