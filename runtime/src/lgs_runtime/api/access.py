"""Routes behind access control, their common parameters (the open parts of the replica, the caller), and
helpers that several routes share."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from lgs_runtime.api.callers import Caller, authenticated, authorization_checked, sealing, user_of
from lgs_runtime.api.http.limits import LimitedRequest, LimitedRoute
from lgs_runtime.api.http.responses import JsonResponse
from lgs_runtime.api.schemas.operations import EVERYWHERE, GUARDED, EventStream, refusals
from lgs_runtime.services import Services
from lgs_runtime.storage.actor import act_for


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


async def _caller(request: Request) -> Caller:
    return Caller(request)


Parts = Annotated[Services, Depends(_services)]
STREAMS = (EventStream, StreamingResponse)
Asking = Annotated[Caller, Depends(_caller)]
"""The caller and what they may do: a parameter of every route that is not public."""


class Route(LimitedRoute):
    """A route behind access control, with limited bodies. A route that answers GET also answers HEAD: the
    same code runs, and the server leaves out the body."""

    public: ClassVar[bool] = False
    """Whether the route answers everybody, without authentication."""

    @cached_property
    def answers_head(self) -> bool:
        """Whether the route answers HEAD. Streams do not: computing their headers would start them."""
        kind = self.response_class
        streams = isinstance(kind, type) and issubclass(kind, STREAMS)
        return "GET" in (self.methods or ()) and not streams

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Matches the path and the method."""
        match, found = super().matches(scope)
        if match is Match.PARTIAL and scope["method"] == "HEAD" and self.answers_head:
            return Match.FULL, found
        return match, found

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["method"] == "HEAD" and self.answers_head:
            # A copy: the server's own scope must still say HEAD.
            scope = {**scope, "method": "GET"}
        await super().handle(scope, receive, send)

    async def admit(self, request: LimitedRequest) -> None:
        """Authenticates the caller. Raises what `AccessControl.authenticate` raises."""
        services: Services = request.app.state.services
        if services.access.reads_body:
            await request.load(services.settings.max_body_bytes)
        await authenticated(request)
        user = user_of(request)
        act_for(user.identity if user else None)
        await sealing(request)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler behind the limits. Raises `NotImplementedError` if the service has authorisation and
        the handler never asked for permission."""
        handle = super().get_route_handler()

        async def asking(request: Request) -> Response:
            services: Services = request.app.state.services
            # The handler's copy of the request shares this state.
            request.state.authorization_checked = self.public
            response = await handle(request)
            if services.access.decides and not authorization_checked(request):
                raise NotImplementedError(f"{request.method} {self.path} asks nobody whether it may")
            return response

        return asking


class OpenRoute(Route):
    """A route that answers everybody: it serves what probes, the autoscaler and clients need before they have
    a key, and no user's data."""

    public = True

    async def admit(self, request: LimitedRequest) -> None:
        """Authenticates nobody."""


def router(
    tag: str,
    *,
    public: bool = False,
    route_class: type[Route] = Route,
    responses: Mapping[int | str, dict[str, Any]] | None = None,
) -> APIRouter:
    """A router whose routes stand under `tag` in the API's description. `public`: the routes answer
    everybody. `responses`: their refusals, if they differ from those of all routes."""
    answers = refusals(*EVERYWHERE) if public else refusals(*EVERYWHERE, *GUARDED)
    return APIRouter(
        route_class=OpenRoute if public else route_class,
        tags=[tag],
        responses=answers if responses is None else dict(responses),
        default_response_class=JsonResponse,
        generate_unique_id_function=_operation_id,
    )


def _operation_id(route: APIRoute) -> str:
    """The operation's name in generated clients: its group and the route's name."""
    group = str(route.tags[0]).lower().replace(" ", "_") if route.tags else "custom"
    return f"{group}_{route.name}"


def page_response(found: Sequence[Mapping[str, Any]], limit: int, offset: int) -> JsonResponse:
    """One page of a search that asked for one record more than `limit`, to know whether another page follows.

    `X-Pagination-Next` is the offset of that page; `X-Pagination-Total` counts the records known to exist.
    """
    headers = {"X-Pagination-Total": str(offset + len(found))}
    if len(found) > limit:
        headers["X-Pagination-Next"] = str(offset + limit)
    return JsonResponse(found[:limit], headers=headers)
