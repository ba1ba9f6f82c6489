"""The values of a thread or of an answer, as they are stored and as a client gets them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lgs_runtime.model.base import Json

ROOT = "__root__"
QUESTIONS = "__interrupt__"


def questions(interrupts: Json | None) -> list[Any]:
    """The questions that a thread asks: the interrupts of all its tasks, which are stored as lists by task
    id."""
    return [interrupt for of_task in (interrupts or {}).values() for interrupt in of_task]


def with_questions(values: Json | None, asked: Sequence[Any]) -> Json:
    """The values with the questions under `__interrupt__`, if there are any. Values that are no object are
    left out then, as LangGraph streams it."""
    if not asked:
        return values or {}
    named = {name: value for name, value in (values or {}).items() if name != ROOT}
    return {**named, QUESTIONS: list(asked)}


def without_questions(values: Json | None) -> Json | None:
    """The opposite of `with_questions`: the values without `__interrupt__`."""
    if values is None or QUESTIONS not in values:
        return values
    return {name: value for name, value in values.items() if name != QUESTIONS}


def rooted(values: Any) -> Json:
    """Values as they are stored. If a graph's state is no object (`@entrypoint`, one channel as the whole),
    it is stored under the name that LangGraph gives such a channel."""
    return values if isinstance(values, Mapping) else {ROOT: values}


def unrooted(values: Json | None) -> Any:
    """Values as a client gets them: the opposite of `rooted`."""
    return values[ROOT] if values is not None and values.keys() == {ROOT} else values


def given_out(output: Json) -> Json:
    """The output that a stopped run has given so far: `{}` before a workflow of the functional API
    (`@entrypoint`) has returned anything, as its output is None until then."""
    return {} if output.keys() == {ROOT} and output[ROOT] is None else output


def failure_of(reason: str) -> Json:
    """Why a run failed, in the form that clients expect; it is stored as `Name: text` of an exception, or as
    any other text."""
    name, colon, message = reason.partition(": ")
    if colon and name.replace(".", "").isidentifier():
        return {"error": name, "message": message}
    return {"error": "RunFailed", "message": reason}
