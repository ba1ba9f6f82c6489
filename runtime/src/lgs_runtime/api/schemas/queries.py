"""The query parameters: one type per parameter, shared by the operations that take it.

A flag is true as `true`, `1` or `yes`; absent or empty it is false. `xray` may also be a number of levels,
and 1 means one level. A list may be a repeated parameter, or values separated by commas.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from lgs_runtime.api.http.limits import check_text
from lgs_runtime.api.schemas import bodies
from lgs_runtime.errors import InvalidRequest
from lgs_runtime.model import CancelAction, RunStatus

TRUE, FALSE = frozenset({"1", "true", "yes"}), frozenset({"", "0", "false", "no"})


def _flag(value: Any) -> bool:
    text = str(value).lower()
    if text in TRUE:
        return True
    if text in FALSE:
        return False
    raise ValueError("must be true or false")


def _xray(value: Any) -> bool | int:
    text = str(value)
    if text.isdecimal() and text.isascii() and int(text[:10]) > 0:
        return int(text[:10])
    try:
        return _flag(text)
    except ValueError:
        raise ValueError("must be true, false or a number of levels") from None


def _split(value: Any) -> Any:
    return [part for text in value for part in text.split(",") if part] if isinstance(value, list) else value


def _or_absent(value: Any) -> Any:
    return value or None


def _text(value: str) -> str:
    try:
        return check_text("text", value)
    except InvalidRequest:
        raise ValueError("must not contain the NUL character (\\u0000)") from None


_LISTED = BeforeValidator(_split)

Flag = Annotated[bool, BeforeValidator(_flag), Query()]
OptionalFlag = Annotated[bool | None, BeforeValidator(lambda given: _flag(given) if given else None), Query()]
Xray = Annotated[
    bool | int,
    BeforeValidator(_xray),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, {"type": "integer", "minimum": 0}]}),
    Query(description="show subgraphs too: all, or so many levels of them"),
]
Action = Annotated[
    CancelAction,
    BeforeValidator(lambda given: given or "interrupt"),
    Query(description="`interrupt` keeps what the run did, `rollback` deletes it with its checkpoints"),
]
StateKeys = Annotated[
    list[str] | None,
    _LISTED,
    Query(alias="select", description="fields of the state; `values.<key>` names one key of the values"),
]
RunKeys = Annotated[list[bodies.RunField] | None, _LISTED, Query(alias="select")]
Status = Annotated[RunStatus | None, BeforeValidator(_or_absent), Query()]
Limit = Annotated[int, Query(ge=1, le=1000)]
Offset = Annotated[int, Query(ge=0, le=2**31 - 1)]
RunModes = Annotated[
    list[str] | None,
    _LISTED,
    Query(alias="stream_mode", description="only events of these stream modes"),
]
ThreadModes = Annotated[
    list[Literal["run_modes", "lifecycle", "state_update"]] | None,
    _LISTED,
    Query(alias="stream_mode", description="which events of the thread's runs to send; all without it"),
]
AlsoThreadModes = Annotated[
    list[Literal["run_modes", "lifecycle", "state_update"]] | None,
    _LISTED,
    Query(alias="stream_modes", description="the same, as LangGraph's own server calls it"),
]
Included = Annotated[
    list[Literal["ttl"]] | None, _LISTED, Query(description="`ttl` adds the thread's time to live")
]
Name = Annotated[str, AfterValidator(_text)]
Key = Annotated[str, AfterValidator(_text), Query(min_length=1)]
Labels = Annotated[
    list[str] | None,
    Query(alias="namespace", description="the labels joined by dots, or repeated"),
]
Before = Annotated[bodies.CheckpointId | None, Query(description="a checkpoint's id: only states before it")]
