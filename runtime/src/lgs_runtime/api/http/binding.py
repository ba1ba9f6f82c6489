"""Calls an endpoint directly, if its signature has only: the request, dependencies made of the request alone,
path parameters, and at most one body.

FastAPI does this for any signature, but takes several times as long as such a simple endpoint needs. What
FastAPI refuses is refused here in the same words. Endpoints with any other parameter, such as a query, are
left to FastAPI.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.params import Depends
from pydantic import BaseModel, TypeAdapter, ValidationError

NOTHING: Any = object()
Make = Callable[[Request], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Expected:
    """A value that the request must have, or may omit if there is a default."""

    name: str
    check: TypeAdapter[Any]
    default: Any = NOTHING


@dataclass(frozen=True, slots=True)
class Binding:
    """An endpoint, and the source of each of its parameters."""

    endpoint: Callable[..., Awaitable[Response]]
    requests: tuple[str, ...]
    made: tuple[tuple[str, Make], ...]
    path: tuple[Expected, ...]
    body: Expected | None

    async def __call__(self, request: Request) -> Response:
        """Returns the endpoint's answer. Raises `RequestValidationError`, and what the endpoint raises."""
        given: dict[str, Any] = dict.fromkeys(self.requests, request)
        for name, make in self.made:
            given[name] = await make(request)
        wrong: list[Any] = []
        for one in self.path:
            given[one.name] = _checked(one, request.path_params[one.name], ("path", one.name), wrong)
        body = NOTHING
        if self.body is not None:
            body = await request.json() if await request.body() else NOTHING
            given[self.body.name] = _checked(self.body, body, ("body",), wrong)
        if wrong:
            raise RequestValidationError(wrong, body=None if body is NOTHING else body)
        return await self.endpoint(**given)


def binding(endpoint: Callable[..., Any], in_path: Collection[str]) -> Binding | None:
    """How to call an endpoint whose path has the parameters `in_path`; None if FastAPI must call it."""
    hints = get_type_hints(endpoint, include_extras=True)
    answer = hints.pop("return", None)
    answers = isinstance(answer, type) and issubclass(answer, Response)
    if not answers or not inspect.iscoroutinefunction(endpoint):
        return None
    requests: list[str] = []
    made: list[tuple[str, Make]] = []
    path: list[Expected] = []
    bodies: list[Expected] = []
    for name, parameter in inspect.signature(endpoint).parameters.items():
        hint, default = hints[name], parameter.default
        given = NOTHING if default is inspect.Parameter.empty else default
        if name in in_path and given is NOTHING:
            path.append(Expected(name, TypeAdapter(hint)))
        elif hint is Request:
            requests.append(name)
        elif (make := _made_of_request(hint)) is not None:
            made.append((name, make))
        elif isinstance(hint, type) and issubclass(hint, BaseModel):
            bodies.append(Expected(name, TypeAdapter(hint), given))
        else:
            return None
    if len(bodies) > 1:
        return None
    return Binding(endpoint, tuple(requests), tuple(made), tuple(path), bodies[0] if bodies else None)


def _made_of_request(hint: Any) -> Make | None:
    """The dependency that the hint names, if it is a coroutine function whose only parameter is the
    request."""
    if get_origin(hint) is not Annotated:
        return None
    depends = [mark for mark in get_args(hint)[1:] if isinstance(mark, Depends)]
    if len(depends) != 1 or not inspect.iscoroutinefunction(depends[0].dependency):
        return None
    make = depends[0].dependency
    wants = get_type_hints(make)
    wants.pop("return", None)
    return make if list(wants.values()) == [Request] else None


def _checked(expected: Expected, value: Any, place: tuple[str, ...], wrong: list[Any]) -> Any:
    """The validated value, as the endpoint wants it; validation errors are appended to `wrong`."""
    if value is NOTHING:
        if expected.default is NOTHING:
            wrong.append({"type": "missing", "loc": place, "msg": "Field required", "input": None})
        return expected.default
    try:
        return expected.check.validate_python(value, from_attributes=True)
    except ValidationError as refused:
        found = refused.errors(include_url=False)
        wrong.extend({**error, "loc": (*place, *error["loc"])} for error in found)
        return None
