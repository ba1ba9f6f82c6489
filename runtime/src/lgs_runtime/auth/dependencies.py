"""FastAPI dependencies of an authentication handler: parameters annotated with `Depends`, such as
`token: Annotated[str, Depends(OAuth2PasswordBearer("token"))]`. LangGraph's server supports them too.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import lru_cache
from typing import Any, get_args, get_type_hints

from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_dependant, solve_dependencies
from fastapi.params import Depends
from starlette.requests import Request

from lgs_runtime.errors import Unauthenticated


@lru_cache(maxsize=16)
def dependencies_of(handler: Callable[..., Any]) -> frozenset[str]:
    """The names of the handler's parameters that are dependencies."""
    return frozenset(_annotations(handler))


@asynccontextmanager
async def solved(handler: Callable[..., Any], request: Request) -> AsyncIterator[Mapping[str, Any]]:
    """The values of the dependencies by parameter, open as long as the context. Raises what they raise, and
    `Unauthenticated` if the request lacks what they need."""
    if not dependencies_of(handler):
        yield {}
        return
    async with AsyncExitStack() as stack:
        # FastAPI finds under these names the exit stacks that close its dependencies.
        names = ("fastapi_inner_astack", "fastapi_function_astack")
        asking = Request({**request.scope, **dict.fromkeys(names, stack)}, request.receive)
        found = await solve_dependencies(
            request=asking,
            dependant=_dependant(handler),
            async_exit_stack=stack,
            embed_body_fields=False,
        )
        if found.errors:
            missing = ", ".join(".".join(map(str, error["loc"])) for error in found.errors)
            raise Unauthenticated(f"{missing}: missing or not valid")
        yield found.values


@lru_cache(maxsize=16)
def _dependant(handler: Callable[..., Any]) -> Dependant:
    """FastAPI's `Dependant` of a function with only the handler's dependency parameters."""

    def only(**given: Any) -> Any:
        return given

    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation)
        for name, annotation in _annotations(handler).items()
    ]
    only.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return get_dependant(path="", call=only)


def _annotations(handler: Callable[..., Any]) -> Mapping[str, Any]:
    try:
        hints = get_type_hints(handler, include_extras=True)
    # A name exists only for type checkers: an annotation that can't be evaluated is no dependency.
    except (NameError, TypeError):
        hints = inspect.get_annotations(handler) if inspect.isfunction(handler) else {}
    return {
        name: hint for name, hint in hints.items() if any(isinstance(arg, Depends) for arg in get_args(hint))
    }
