"""The limits of a request body: its size is checked before it is parsed, its content before a route sees it.

A body that is too long gets 413; one that is not JSON, or not UTF-8, 400. 422 is for a body nested too deep,
or with what can't be stored: a lone surrogate, a number that is not finite, a NUL character outside the
documents that graphs and records hold. The body is parsed once, and FastAPI gets the result. Integers of any
size stay integers.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Coroutine, Iterable
from functools import cached_property
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute

from lgs_runtime.api.http.binding import Binding, binding
from lgs_runtime.api.http.problems import BodyTooLarge, BrokenBody
from lgs_runtime.api.http.route_index import TELEMETRY
from lgs_runtime.errors import InvalidRequest

MAX_NESTING = 128
"""Levels of nested objects and arrays. Well above what graphs use, and below the limit of encoders (254)."""
DOCUMENTS = frozenset({"input", "values", "value", "metadata", "context", "command", "supersteps", "filter"})
"""Parts of a body that are stored, or compared, unchanged; strings in all other parts are names."""
_LONG_NUMBER = re.compile(rb"[0-9]{19}")
_HALF = re.compile("[\ud800-\udfff]")


def parse_body(raw: bytes) -> Any:
    """The JSON value of a body; None when it is empty.

    Raises `BrokenBody`, `InvalidRequest`.
    """
    if not raw.strip():
        return None
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as wrong:
        value = _as_others_read(raw, wrong)
    if raw.count(b"{") + raw.count(b"[") > MAX_NESTING:
        _check_nesting(value)
    if _LONG_NUMBER.search(raw):
        # The fast parser makes floats of integers beyond 64 bits.
        value = _as_others_read(raw)
    if b"\\u0000" in raw:
        _check_nul(value, "body")
    return value


def _as_others_read(raw: bytes, wrong: Exception | None = None) -> Any:
    """The value as read by the more tolerant `json` of the standard library. Raises `BrokenBody` if that
    fails too, `InvalidRequest` naming what can't be stored."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as reason:
        raise BrokenBody(f"body: {_excerpt(raw)}: must be JSON in UTF-8: {wrong or reason}") from reason
    _check_nesting(value)
    _check_whole(value, "body")
    return value


def _check_whole(value: Any, name: str) -> None:
    if isinstance(value, str) and _HALF.search(value):
        raise InvalidRequest(f"{name}: {value!r:.80}: must have both halves of a surrogate pair, or none")
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidRequest(f"{name}: {value}: must be a finite number")
    for key, inner in _named(value):
        if isinstance(key, str):
            _check_whole(key, f"{name}: key")
        _check_whole(inner, _inside(name, key))


def check_text(name: str, text: str) -> str:
    """Returns a text that is going to be stored or searched for. Raises `InvalidRequest` if it has a NUL
    character."""
    if "\x00" in text:
        raise InvalidRequest(f"{name}: {text!r}: must not contain the NUL character (\\u0000)")
    return text


def _check_nesting(value: Any) -> None:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_NESTING + 1:
            raise InvalidRequest(
                f"body: more than {MAX_NESTING} levels: must be nested at most {MAX_NESTING} deep"
            )
        level = [inner for outer in level if isinstance(outer, dict | list) for inner in _inner(outer)]


def _inner(outer: dict[str, Any] | list[Any]) -> Any:
    return outer.values() if isinstance(outer, dict) else outer


def _check_nul(value: Any, name: str) -> None:
    if isinstance(value, str):
        check_text(name, value)
    for key, inner in _named(value):
        if isinstance(key, str):
            check_text(f"{name}: key", key)
        if key not in DOCUMENTS:
            _check_nul(inner, _inside(name, key))


def _named(value: Any) -> Iterable[tuple[str | int, Any]]:
    if isinstance(value, dict):
        return value.items()
    return enumerate(value) if isinstance(value, list) else ()


def _inside(name: str, key: str | int) -> str:
    return f"{name}.{key}" if isinstance(key, str) else f"{name}[{key}]"


def _excerpt(raw: bytes) -> str:
    return repr(raw[:40].decode(errors="replace")) + ("…" if len(raw) > 40 else "")


async def whole_body(request: Request, max_bytes: int) -> bytes:
    """The raw body. Raises `BodyTooLarge` as soon as it exceeds `max_bytes`."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > max_bytes:
            raise BodyTooLarge(f"more than {max_bytes}", max_bytes)
        chunks.append(chunk)
    return b"".join(chunks)


class LimitedRequest(Request):
    """A request whose body was read and parsed under the limits."""

    async def load(self, max_bytes: int) -> None:
        """Reads the body, once. Raises `BodyTooLarge` without reading on, `BrokenBody`, `InvalidRequest`."""
        if hasattr(self, "_body"):
            return
        announced = self.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > max_bytes:
            raise BodyTooLarge(announced, max_bytes)
        self._body = await whole_body(self, max_bytes)
        self._json = parse_body(self._body)

    def as_json(self) -> LimitedRequest:
        """The same request with a JSON content type: FastAPI parses no other body."""
        headers = [(name, value) for name, value in self.scope["headers"] if name != b"content-type"]
        headers.append((b"content-type", b"application/json"))
        said = LimitedRequest({**self.scope, "headers": headers}, self.receive)
        said._body, said._json = self._body, self._json
        return said


class LimitedRoute(APIRoute):
    """A route that only sees bodies within the limits. A body is taken as JSON, whatever its content type."""

    reads_whole = True
    """Whether the body is read before the handler is called; if not, the handler reads and limits it
    itself."""

    async def admit(self, request: LimitedRequest) -> None:
        """Authenticates the caller; called before the body is read. Here everybody is admitted."""

    @cached_property
    def binding(self) -> Binding | None:
        """How to call the endpoint without FastAPI, if its signature is simple enough. Computed at the first
        request, to keep the start of the replica short."""
        return None if self.dependencies else binding(self.endpoint, self.param_convertors)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The endpoint behind the limits, called by its binding or by FastAPI's handler."""
        handle = super().get_route_handler()

        async def limited(request: Request) -> Response:
            checked = LimitedRequest(request.scope, request.receive)
            await self.admit(checked)
            if self.reads_whole:
                await checked.load(request.app.state.services.settings.max_body_bytes)
            if self.binding is not None and request.scope.get(TELEMETRY) is None:
                return await self.binding(checked)
            return await handle(checked.as_json() if self.reads_whole else checked)

        return limited
