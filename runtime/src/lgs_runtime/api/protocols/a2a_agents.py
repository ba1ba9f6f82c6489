"""What A2A says and what a run says, each in the words of the other: messages and inputs, tasks and runs. All
of it pure.

Source: https://a2a-protocol.org/v0.3.0/specification
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from lgs_runtime.errors import InvalidRequest
from lgs_runtime.model import Assistant, Json, Run

VERSION = "0.3.0"
MODES = ["text/plain", "application/json"]
STATES: Mapping[str, str] = {
    "pending": "submitted",
    "running": "working",
    "success": "completed",
    "interrupted": "canceled",
    "error": "failed",
    "timeout": "failed",
}


def card(assistant: Assistant, url: str) -> dict[str, Any]:
    """An assistant as an agent that others may talk to."""
    about = assistant.description or f"The assistant {assistant.name}."
    skill = {
        "id": assistant.assistant_id,
        "name": assistant.name,
        "description": about,
        "tags": ["langgraph"],
    }
    return {
        "protocolVersion": VERSION,
        "name": assistant.name,
        "description": about,
        "url": url,
        "preferredTransport": "JSONRPC",
        "version": str(assistant.version),
        "capabilities": {"streaming": True, "pushNotifications": False, "stateTransitionHistory": False},
        "defaultInputModes": MODES,
        "defaultOutputModes": MODES,
        "skills": [skill],
    }


def said(message: Any) -> tuple[str, dict[str, Any]]:
    """The text of a message, and the fields of its data. Raises `InvalidRequest`."""
    if not isinstance(message, Mapping) or not isinstance(message.get("parts"), list) or not message["parts"]:
        raise InvalidRequest("message.parts: must be given, at least one")
    texts, data = [], {}
    for number, part in enumerate(message["parts"]):
        kind = part.get("kind") if isinstance(part, Mapping) else None
        if kind == "text" and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif kind == "data" and isinstance(part.get("data"), Mapping):
            data.update(part["data"])
        else:
            raise InvalidRequest(f"message.parts.{number}: must be of kind text or data")
    return "\n".join(texts), data


def input_of(message: Any, input_schema: Any) -> dict[str, Any]:
    """The graph's input for a message: its data, and its text as what a person says. Raises
    `InvalidRequest`."""
    text, data = said(message)
    if not text:
        return data
    fields = (input_schema or {}).get("properties") or {}
    if "messages" not in fields:
        raise InvalidRequest(
            f"message.parts: text: must be data for an assistant without messages; it takes {sorted(fields)}"
        )
    spoken = {"role": "user", "content": text}
    if isinstance(message.get("messageId"), str):
        spoken["id"] = message["messageId"]
    return {**data, "messages": [*data.get("messages", ()), spoken]}


def answer_of(message: Any) -> Any:
    """What a message answers to a question: its text, or its data when it has no text."""
    text, data = said(message)
    return text or data


def task(run: Run, values: Json | None = None) -> dict[str, Any]:
    """A run as a task. `values`: what it left, as `runs.following` tells it."""
    found = values or {}
    state, about = STATES[run.status], None
    if questions := found.get("__interrupt__"):
        state, about = "input-required", [_part(question.get("value")) for question in questions]
    elif error := found.get("__error__"):
        state, about = "failed", [_part(f"{error['error']}: {error['message']}")]
    artifacts = [artifact(run, result_parts(found))] if state == "completed" else []
    return {
        "kind": "task",
        "id": run.run_id,
        "contextId": run.thread_id,
        "status": _status(run, state, about),
        **({"artifacts": artifacts} if artifacts else {}),
    }


def artifact(run: Run, parts: Sequence[Json]) -> dict[str, Any]:
    """The one thing that a run makes: what it says."""
    return {"artifactId": f"{run.run_id}-result", "name": "result", "parts": list(parts)}


def result_parts(values: Json) -> list[dict[str, Any]]:
    """What the assistant said last; all that it left when it says nothing."""
    spoken = values.get("messages")
    if isinstance(spoken, list) and spoken and isinstance(spoken[-1], Mapping):
        return [_part(text_of(spoken[-1].get("content")))]
    return [_part(values)]


def text_of(content: Any) -> str:
    """The text of a message's content, whether it is one text or blocks."""
    if isinstance(content, str):
        return content
    blocks: Iterable[Any] = content if isinstance(content, list) else ()
    texts = [block if isinstance(block, str) else block.get("text", "") for block in blocks]
    return "".join(text for text in texts if isinstance(text, str))


def piece(run: Run, parts: Sequence[Json], *, append: bool = False, last: bool = False) -> dict[str, Any]:
    """News of a run's result: a piece to be appended to what was told, or what takes its place."""
    made = artifact(run, parts)
    ids = {"taskId": run.run_id, "contextId": run.thread_id}
    return {"kind": "artifact-update", **ids, "artifact": made, "append": append, "lastChunk": last}


def ending(whole: Json) -> dict[str, Any]:
    """The last news of a task."""
    ids = {"taskId": whole["id"], "contextId": whole["contextId"]}
    return {"kind": "status-update", **ids, "status": whole["status"], "final": True}


def _status(run: Run, state: str, about: Sequence[Json] | None) -> dict[str, Any]:
    status: dict[str, Any] = {"state": state, "timestamp": _moment(run.updated_at)}
    if about:
        ids = {"messageId": f"{run.run_id}-{state}", "taskId": run.run_id, "contextId": run.thread_id}
        status["message"] = {"kind": "message", "role": "agent", "parts": list(about), **ids}
    return status


def _moment(moment: datetime) -> str:
    return moment.isoformat()


def _part(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {"kind": "data", "data": value}
    return {"kind": "text", "text": value if isinstance(value, str) else str(value)}
