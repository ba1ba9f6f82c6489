"""The caller of a request and their permissions, for the routes and for whatever keeps account of requests.

`authenticated` is called once per request, before the route sees its body; afterwards `user_of` returns the
user. Each route that is not public asks its `Caller` for permission and passes the returned scope to the
storage. If the service has authorisation, a route that never asks answers 500, so a forgotten check gives no
access.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from fastapi import Request

from lgs_runtime.auth.authorization import Action, Resource
from lgs_runtime.auth.users import User
from lgs_runtime.encryption.context import HEADER, context_in, encrypt_with
from lgs_runtime.errors import Forbidden
from lgs_runtime.graphs.factories import caller
from lgs_runtime.graphs.registry import SYSTEM_METADATA
from lgs_runtime.model import Scope, Thread
from lgs_runtime.run_kwargs import about_the_caller
from lgs_runtime.runs.admission import NOBODY
from lgs_runtime.services import Services
from lgs_runtime.storage.scope import covers, widened

REQUEST_ID_HEADER = "x-request-id"
LONGEST_ID = 128
FOUND_USER = "lgs.user"
"""The key in a request's ASGI scope under which the guard of the service's own application leaves the
user."""


async def authenticated(request: Request) -> None:
    """Authenticates the request and keeps the user in its state. Raises what `AccessControl.authenticate`
    raises."""
    services: Services = request.app.state.services
    found = FOUND_USER in request.scope
    request.state.user = request.scope[FOUND_USER] if found else await services.access.authenticate(request)
    caller.set(request.state.user)


async def sealing(request: Request) -> None:
    """Sets the encryption context for what this request stores, if the service encrypts. Raises
    `InvalidRequest`, `EncryptionFailed`."""
    services: Services = request.app.state.services
    if services.cipher is not None:
        given = context_in(request.headers.get(HEADER))
        encrypt_with(await services.cipher.context_of(user_of(request) or User(NOBODY), given))


def user_of(request: Request) -> User | None:
    """The user who makes the request; None if the service or the route is open to everybody."""
    user: User | None = getattr(request.state, "user", None)
    return user


def request_id_of(request: Request) -> str:
    """The request's id: its `X-Request-Id` header if printable and at most `LONGEST_ID` characters, else a
    new UUID."""
    if not hasattr(request.state, "request_id"):
        given = request.headers.get(REQUEST_ID_HEADER, "")
        fits = 0 < len(given) <= LONGEST_ID and given.isprintable()
        request.state.request_id = given if fits else str(uuid4())
    found: str = request.state.request_id
    return found


def authorization_checked(request: Request) -> bool:
    """Whether authorisation of this request has been checked."""
    return bool(getattr(request.state, "authorization_checked", False))


def checks_authorization(request: Request) -> None:
    """Marks authorisation as checked: what the route calls next checks it itself, as creating a run does."""
    request.state.authorization_checked = True


class Caller:
    """The caller of a request, and what they may do."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._services: Services = request.app.state.services

    @property
    def user(self) -> User | None:
        """The user; None when the service is open."""
        return user_of(self._request)

    async def may(self, resource: Resource, action: Action, value: dict[str, Any]) -> Scope | None:
        """The scope: which records the caller may access with this action (None: all), for the storage to
        enforce.

        `value` is the content of the request in the form of `langgraph_sdk.auth.types`; the handler may
        change it. Raises `Forbidden`, `RefusedByHandler`, `HandlerFailed`.
        """
        checks_authorization(self._request)
        return await self._services.access.authorize(self.user, resource, action, value)

    async def threads(self, action: Action, thread_id: str | None, /, **more: Any) -> Scope | None:
        """Like `may`, for one thread, or for all threads if `thread_id` is None."""
        named = {} if thread_id is None else {"thread_id": thread_id}
        return await self.may("threads", action, {**named, "metadata": {}, **more})

    async def thread(self, action: Action, thread_id: str, /, **more: Any) -> Thread:
        """A thread that the caller may access with this action. Raises `NotFound` also for a thread outside
        their scope."""
        scope = await self.threads(action, thread_id, **more)
        return await self._services.storage.threads.get(thread_id, scope)

    async def check_may_change(self, thread_id: str, metadata: Mapping[str, Any]) -> None:
        """Raises `Forbidden` unless the caller may change the state of a thread with these metadata."""
        scope = await self.threads("update", thread_id)
        if scope is not None and not covers(scope, metadata):
            raise Forbidden("threads.update: the thread must be one that the caller may change")

    async def assistants(self, action: Action, value: dict[str, Any]) -> Scope | None:
        """Like `may`, for assistants. Everybody may read the default assistants of the graphs, unless the
        handler refuses the action altogether."""
        scope = await self.may("assistants", action, value)
        return widened(scope, SYSTEM_METADATA) if action in ("read", "search") else scope

    async def of_cache(self, action: Action, namespace: str | None = None) -> None:
        """Raises `Forbidden` unless the caller may do this to the cache, which all users share."""
        checks_authorization(self._request)
        await self._services.access.authorize_shared(self.user, "cache", action, {"namespace": namespace})

    def configurable(self) -> dict[str, Any]:
        """What a graph opened for this request finds about the caller in its `configurable`."""
        user = self.user
        return about_the_caller(user.to_json() if user else None, request_id_of(self._request))
