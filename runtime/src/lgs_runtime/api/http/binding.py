"""Calls an endpoint with what its signature names, where that is only: the request, what is made of the
request alone, parameters of the path, and one body.

FastAPI does this for any signature, in several times the time that an endpoint of this kind needs. What it
refuses is refused here in the same words. Endpoints that want anything else, as a query, are left to it.
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
    """A value that the request must have, or may leave to its default."""

    name: str
    check: TypeAdapter[Any]
    default: Any = NOTHING


@dataclass(frozen=True, slots=True)
class Binding:
    """An endpoint, and where each of its parameters comes from."""

    endpoint: Callable[..., Awaitable[Response]]
    requests: tuple[str, ...]
    made: tuple[tuple[str, Make], ...]
    path: tuple[Expected, ...]
    body: Expected | None

    async def __call__(self, request: Request) -> Response:
        """The endpoint's answer. Raises `RequestValidationError`, and what the endpoint raises."""
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
    """How to call an endpoint of a path with these parameters; None where FastAPI must."""
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
    """The dependency that the hint names, if it is a coroutine function of the request and nothing else."""
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
    """The value as the endpoint wants it; what is wrong with it goes to `wrong`."""
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
