"""Routes behind access control, the open parts of the replica as their parameters, and what several of them
share."""

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
"""Who asks, and what they may do: a parameter of every route that is not public."""


class Route(LimitedRoute):
    """A route behind access control, with limited bodies. Where GET is answered HEAD is, too: by the same
    code, whose body the server leaves out."""

    public: ClassVar[bool] = False
    """Whether it answers everybody."""

    @cached_property
    def answers_head(self) -> bool:
        """Not for streams: to find out their headers is to begin them."""
        kind = self.response_class
        streams = isinstance(kind, type) and issubclass(kind, STREAMS)
        return "GET" in (self.methods or ()) and not streams

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """The match of a path and a method."""
        match, found = super().matches(scope)
        if match is Match.PARTIAL and scope["method"] == "HEAD" and self.answers_head:
            return Match.FULL, found
        return match, found

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["method"] == "HEAD" and self.answers_head:
            # A copy: the server reads the requested path from its own.
            scope = {**scope, "method": "GET"}
        await super().handle(scope, receive, send)

    async def admit(self, request: LimitedRequest) -> None:
        """Finds out who asks. Raises what `AccessControl.authenticate` raises."""
        services: Services = request.app.state.services
        if services.access.reads_body:
            await request.load(services.settings.max_body_bytes)
        await authenticated(request)
        user = user_of(request)
        act_for(user.identity if user else None)
        await sealing(request)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler behind the limits, which must have asked whether the caller may."""
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
    """A route that answers everybody: what probes, the autoscaler and clients need before they have a key,
    and nothing of any user."""

    public = True

    async def admit(self, request: LimitedRequest) -> None:
        """Asks nobody who they are."""


def router(
    tag: str,
    *,
    public: bool = False,
    route_class: type[Route] = Route,
    responses: Mapping[int | str, dict[str, Any]] | None = None,
) -> APIRouter:
    """A router whose routes stand under `tag` in the API's description. `public`: they answer everybody.
    `responses`: how they refuse, where that is not as all routes do."""
    answers = refusals(*EVERYWHERE) if public else refusals(*EVERYWHERE, *GUARDED)
    return APIRouter(
        route_class=OpenRoute if public else route_class,
        tags=[tag],
        responses=answers if responses is None else dict(responses),
        default_response_class=JsonResponse,
        generate_unique_id_function=_operation_id,
    )


def _operation_id(route: APIRoute) -> str:
    """What generated clients call an operation: its group and name."""
    group = str(route.tags[0]).lower().replace(" ", "_") if route.tags else "custom"
    return f"{group}_{route.name}"


def page_response(found: Sequence[Mapping[str, Any]], limit: int, offset: int) -> JsonResponse:
    """One page of a search that asked for one record more than `limit`, to know whether another page follows.

    `X-Pagination-Next` is the offset of that page; `X-Pagination-Total` counts what is known to be there.
    """
    headers = {"X-Pagination-Total": str(offset + len(found))}
    if len(found) > limit:
        headers["X-Pagination-Next"] = str(offset + limit)
    return JsonResponse(found[:limit], headers=headers)
