"""Translates between A2A and runs: messages to inputs, runs to tasks, assistants to agent cards. Pure
functions, in the forms of A2A 1.0; `a2a_versions` has what 0.3 writes differently.

Source: https://a2a-protocol.org/v1.0.0/specification
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from lgs_runtime.errors import InvalidRequest
from lgs_runtime.model import Assistant, Json, Run, unrooted

MODES = ["text/plain", "application/json"]
ASSISTANTS = ("ai", "assistant", "AIMessageChunk")
PEOPLE = ("human", "user")
STATE_PREFIX = "TASK_STATE_"
STATES: Mapping[str, str] = {
    "pending": "TASK_STATE_SUBMITTED",
    "running": "TASK_STATE_WORKING",
    "success": "TASK_STATE_COMPLETED",
    "interrupted": "TASK_STATE_CANCELED",
    "error": "TASK_STATE_FAILED",
    "timeout": "TASK_STATE_FAILED",
}
INPUT_REQUIRED = "TASK_STATE_INPUT_REQUIRED"


def card(assistant: Assistant, url: str) -> dict[str, Any]:
    """The card of an assistant as an agent. It also has the fields with the names of 0.3."""
    about = assistant.description or f"The assistant {assistant.name}."
    skill = {
        "id": assistant.assistant_id,
        "name": assistant.name,
        "description": about,
        "tags": ["langgraph"],
    }
    spoken = [
        {"url": url, "protocolBinding": "JSONRPC", "protocolVersion": version} for version in ("1.0", "0.3")
    ]
    return {
        "name": assistant.name,
        "description": about,
        "supportedInterfaces": spoken,
        "version": str(assistant.version),
        "capabilities": {"streaming": True, "pushNotifications": False, "stateTransitionHistory": False},
        "defaultInputModes": MODES,
        "defaultOutputModes": MODES,
        "skills": [skill],
        "protocolVersion": "0.3.0",
        "url": url,
        "preferredTransport": "JSONRPC",
    }


def parse_message(message: Any) -> tuple[str | None, dict[str, Any]]:
    """The text of a message and the fields of its data. The text is None if there is none, or if it is empty
    beside data. Parts are those of 1.0, or of 0.3, which also names their kind. Raises `InvalidRequest`, and
    `UnsupportedPart` for a file."""
    if not isinstance(message, Mapping) or not isinstance(message.get("parts"), list) or not message["parts"]:
        raise InvalidRequest("message.parts: must be given, at least one")
    texts, data = [], {}
    for number, part in enumerate(message["parts"]):
        found = part if isinstance(part, Mapping) else {}
        kind = found.get("kind", "text" if "text" in found else "data" if "data" in found else None)
        if kind == "text" and isinstance(found.get("text"), str):
            texts.append(found["text"])
        elif kind == "data" and isinstance(found.get("data"), Mapping):
            data.update(found["data"])
        elif "raw" in found or "url" in found:
            raise UnsupportedPart(f"message.parts.{number}: is a file: must be text or data")
        else:
            raise InvalidRequest(f"message.parts.{number}: must be text or data (an object)")
    text = "\n".join(texts) if texts else None
    return text or (None if data else text), data


class UnsupportedPart(Exception):
    """A kind of message part that A2A allows and this service does not take."""


def input_of(message: Any, input_schema: Any) -> dict[str, Any]:
    """The graph's input for a message: its data, and its text as a user message. Raises `InvalidRequest`,
    `UnsupportedPart`."""
    text, data = parse_message(message)
    if text is None:
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
    """The answer to a question that a message gives: its text, or its data if it has no text."""
    text, data = parse_message(message)
    return data if text is None else text


def task(run: Run, values: Json | None = None, *, artifacts: bool = True) -> dict[str, Any]:
    """A run as a task. `values`: its result, as `runs.following` returns it."""
    found = values or {}
    state, about = STATES[run.status], None
    if questions := found.get("__interrupt__"):
        state, about = INPUT_REQUIRED, [_part(question.get("value")) for question in questions]
    elif error := found.get("__error__"):
        state, about = STATES["error"], [_part(f"{error['error']}: {error['message']}")]
    made = [artifact(run, result_parts(found))] if artifacts and state == STATES["success"] else []
    return {
        "id": run.run_id,
        "contextId": run.thread_id,
        "status": _status(run, state, about),
        **({"artifacts": made} if made else {}),
    }


def artifact(run: Run, parts: Sequence[Json]) -> dict[str, Any]:
    """The one artifact of a run: its result."""
    return {"artifactId": f"{run.run_id}-result", "name": "result", "parts": list(parts)}


def result_parts(values: Json) -> list[dict[str, Any]]:
    """The result's parts: the assistant's last text, or all values if there are no messages."""
    spoken = values.get("messages")
    if isinstance(spoken, list) and spoken and isinstance(spoken[-1], Mapping):
        return [_part(_said(spoken))]
    return [_part(unrooted(values))]


def _said(messages: Sequence[Any]) -> str:
    """The assistant's last text since the last user message. Tool answers are skipped: they are for the
    assistant."""
    last = messages[-1]
    for message in reversed(messages):
        if not isinstance(message, Mapping) or _speaker(message) in PEOPLE:
            break
        if _speaker(message) in ASSISTANTS and (text := text_of(message.get("content"))):
            return text
    return "" if _speaker(last) in (*ASSISTANTS, "tool") else text_of(last.get("content"))


def _speaker(message: Mapping[str, Any]) -> Any:
    return message.get("type") or message.get("role")


def text_of(content: Any) -> str:
    """The text of a message's content, whether that is a string or a list of blocks."""
    if isinstance(content, str):
        return content
    blocks: Iterable[Any] = content if isinstance(content, list) else ()
    texts = [block if isinstance(block, str) else block.get("text", "") for block in blocks]
    return "".join(text for text in texts if isinstance(text, str))


def piece(run: Run, parts: Sequence[Json], *, append: bool = False, last: bool = False) -> dict[str, Any]:
    """An update of a run's artifact: `parts` are appended to what was sent, or replace it."""
    made = artifact(run, parts)
    return {
        "taskId": run.run_id,
        "contextId": run.thread_id,
        "artifact": made,
        "append": append,
        "lastChunk": last,
    }


def ending(whole: Json) -> dict[str, Any]:
    """The last update of a task: its final status."""
    return {"taskId": whole["id"], "contextId": whole["contextId"], "status": whole["status"]}


def text_part(text: str) -> dict[str, Any]:
    """A text as a part of a message or an artifact."""
    return {"text": text}


def _status(run: Run, state: str, about: Sequence[Json] | None) -> dict[str, Any]:
    status: dict[str, Any] = {"state": state, "timestamp": _moment(run.updated_at)}
    if about:
        name = state.removeprefix(STATE_PREFIX).lower().replace("_", "-")
        status["message"] = {
            "role": "ROLE_AGENT",
            "parts": list(about),
            "messageId": f"{run.run_id}-{name}",
            "taskId": run.run_id,
            "contextId": run.thread_id,
        }
    return status


def _moment(moment: datetime) -> str:
    return moment.isoformat()


def _part(value: Any) -> dict[str, Any]:
    return text_part(value) if isinstance(value, str) else {"data": value}
