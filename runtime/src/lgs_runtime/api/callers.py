"""Who makes a request, for the routes and for whatever keeps account of them.

`authenticated` is called once a request, before its body is looked at; afterwards `user_of` says who asks.
"""

from __future__ import annotations

from uuid import uuid4

from fastapi import Request

from lgs_runtime.auth.users import User
from lgs_runtime.graphs.factories import caller
from lgs_runtime.services import Services

REQUEST_ID_HEADER = "x-request-id"
LONGEST_ID = 128
FOUND_USER = "lgs.user"
"""Where in a request's scope the guard of the service's own application leaves who asks."""


async def authenticated(request: Request) -> None:
    """Lets the gate look at the request, and keeps who asks. Raises what the gate raises."""
    services: Services = request.app.state.services
    found = FOUND_USER in request.scope
    request.state.user = request.scope[FOUND_USER] if found else await services.gate.authenticate(request)
    caller.set(request.state.user)


def user_of(request: Request) -> User | None:
    """Who asks; None when the service is open to everybody, or the route is."""
    user: User | None = getattr(request.state, "user", None)
    return user


def request_id_of(request: Request) -> str:
    """The id of the request: its `X-Request-Id`, else one of our own."""
    if not hasattr(request.state, "request_id"):
        given = request.headers.get(REQUEST_ID_HEADER, "")
        fits = 0 < len(given) <= LONGEST_ID and given.isprintable()
        request.state.request_id = given if fits else str(uuid4())
    found: str = request.state.request_id
    return found
