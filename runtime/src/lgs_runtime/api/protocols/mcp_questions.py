"""Questions of a graph (`interrupt`) as MCP elicitations (2026-07-28), and the answers to them. A call that
meets a question returns a result with a form for each question; the client calls again with the completed
forms. Pure functions.

There are three kinds of question: one with its own form (`message` and `requestedSchema`), a request of
LangChain's `HumanInTheLoopMiddleware` to approve tool calls, and any other value, which is answered by a
text. Source: https://modelcontextprotocol.io/specification/2026-07-28/client/elicitation
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from lgs_runtime.api.protocols.jsonrpc import INVALID_PARAMS, RpcError
from lgs_runtime.streams.json_encoding import encode

ANSWER: Final = "answer"
FIELDS: Final = frozenset({"string", "number", "integer", "boolean", "array"})
"""The types that a form's fields may have."""


class Declined(Exception):
    """The person declined to answer."""


def input_required(questions: Sequence[Mapping[str, Any]], state: str) -> dict[str, Any]:
    """The result of a call that waits for answers. `state`: the `requestState` that the client sends back
    with them."""
    asked = {question["id"]: _elicitation(question.get("value")) for question in questions}
    return {"resultType": "input_required", "inputRequests": asked, "requestState": state}


def answers(questions: Sequence[Mapping[str, Any]], responses: Any) -> dict[str, Any] | None:
    """The answers for the graph, by question id; None if some are missing. Raises `Declined`, and `RpcError`
    for an answer that does not fit its form."""
    if not isinstance(responses, Mapping):
        raise RpcError(INVALID_PARAMS, "inputResponses: must be an object with an answer to each question")
    if any(question["id"] not in responses for question in questions):
        return None
    return {one["id"]: _answer(one["id"], one.get("value"), responses[one["id"]]) for one in questions}


def _answer(name: str, question: Any, response: Any) -> Any:
    where = f"inputResponses.{name}"
    action = response.get("action") if isinstance(response, Mapping) else None
    if action in ("decline", "cancel"):
        raise Declined(name)
    content = response.get("content") if isinstance(response, Mapping) else None
    if action != "accept" or not isinstance(content, Mapping):
        raise RpcError(INVALID_PARAMS, f"{where}: must be accept with content, decline or cancel")
    form = _form(question)
    for field in form["required"]:
        if field not in content:
            raise RpcError(INVALID_PARAMS, f"{where}.content.{field}: must be given")
    for field, said in content.items():
        allowed = form["properties"].get(field, {}).get("enum")
        if allowed is not None and said not in allowed:
            raise RpcError(INVALID_PARAMS, f"{where}.content.{field}: {said!r}: must be one of {allowed}")
    if _has_form(question):
        return dict(content)
    if calls := _tool_calls(question):
        return {"decisions": [_decision(content, number) for number in range(len(calls))]}
    return _plain(question, content[ANSWER])


def _elicitation(question: Any) -> dict[str, Any]:
    params = {"mode": "form", "message": _message(question), "requestedSchema": _form(question)}
    return {"method": "elicitation/create", "params": params}


def _message(question: Any) -> str:
    if isinstance(question, str):
        return question
    if _has_form(question):
        message: str = question["message"]
        return message
    if calls := _tool_calls(question):
        return "\n".join(
            call.get("description") or f"{call['name']}: {_json(call.get('args'))}" for call in calls
        )
    return _json(question)


def _form(question: Any) -> dict[str, Any]:
    if _has_form(question):
        return {"required": [], **question["requestedSchema"]}
    if calls := _tool_calls(question):
        fields: dict[str, Any] = {}
        for number, call in enumerate(calls):
            choice = {"type": "string", "title": call["name"], "enum": _choices(question, call["name"])}
            fields[_field("decision", number)] = choice
            fields[_field("message", number)] = {"type": "string", "title": f"{call['name']}: why not"}
        needed = [_field("decision", number) for number in range(len(calls))]
        return {"type": "object", "properties": fields, "required": needed}
    return {
        "type": "object",
        "properties": {ANSWER: {"type": "string", "title": "Answer"}},
        "required": [ANSWER],
    }


def _has_form(question: Any) -> bool:
    """Whether a question has its own form, of a kind that MCP allows: an object of plain fields."""
    if not isinstance(question, Mapping) or not isinstance(question.get("message"), str):
        return False
    form = question.get("requestedSchema")
    if not isinstance(form, Mapping) or form.get("type") != "object":
        return False
    fields, needed = form.get("properties"), form.get("required", [])
    return (
        isinstance(fields, Mapping)
        and isinstance(needed, list)
        and all(isinstance(field, Mapping) and field.get("type") in FIELDS for field in fields.values())
    )


def _tool_calls(question: Any) -> Sequence[Mapping[str, Any]]:
    """The tool calls that a question asks to approve; empty if it is of another kind."""
    calls = question.get("action_requests") if isinstance(question, Mapping) else None
    if not isinstance(calls, list) or not all(isinstance(call, Mapping) and "name" in call for call in calls):
        return ()
    return calls


def _choices(question: Mapping[str, Any], tool: str) -> list[str]:
    """The possible decisions about a tool call: those that the graph allows and a form can express."""
    for review in question.get("review_configs") or ():
        if isinstance(review, Mapping) and review.get("action_name") == tool:
            allowed = review.get("allowed_decisions") or ()
            return [choice for choice in ("approve", "reject") if choice in allowed] or ["approve", "reject"]
    return ["approve", "reject"]


def _decision(content: Mapping[str, Any], number: int) -> dict[str, Any]:
    kind, why = content[_field("decision", number)], content.get(_field("message", number))
    return {"type": kind, **({"message": why} if kind == "reject" and why else {})}


def _field(name: str, number: int) -> str:
    return f"{name}_{number + 1}"


def _plain(question: Any, text: Any) -> Any:
    """An answer as the graph gets it: the text or, if the question was not a text and the answer is a JSON
    object or list, that value."""
    if isinstance(question, str) or not isinstance(text, str) or not text.lstrip().startswith(("{", "[")):
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _json(value: Any) -> str:
    return encode(value).decode()
