"""Access control: authenticates every request, or refuses it. The body is read before only if the
authentication handler needs it.

First the service's API keys, if it has any: `X-Api-Key` must be one of them. Then the graphs' own
`@auth.authenticate`. If there are both, a request must pass both. A service with neither is open.

LangGraph Studio marks its requests with `x-auth-scheme: langsmith`. With a valid API key the mark makes the
caller a `StudioUser`. If the service has no keys, the mark is trusted only on a developer's machine
(`studio.py`).
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import structlog
from langgraph_sdk import Auth
from starlette.authentication import AuthenticationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from lgs_runtime.auth.authorization import Action, Resource, authorize, authorize_shared, has_handlers
from lgs_runtime.auth.dependencies import solved
from lgs_runtime.auth.keys import ApiKeys
from lgs_runtime.auth.loading import load_auth, parameters_of
from lgs_runtime.auth.studio import NAME, comes_from_here, marked
from lgs_runtime.auth.user_cache import UserCache
from lgs_runtime.auth.users import MalformedUser, User, refusal_of, studio_user, user_from
from lgs_runtime.errors import ConfigError, Forbidden, HandlerFailed, Unauthenticated
from lgs_runtime.event_loop import RAISED, is_cancelled
from lgs_runtime.graphs.http_section import Cors
from lgs_runtime.model import Scope
from lgs_runtime.settings import Settings

KEY_HEADER = "x-api-key"
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AccessControl:
    """The access rules of a service. `auth` and `keys` are None if it has none."""

    auth: Auth | None = None
    keys: ApiKeys | None = None
    studio: bool = True
    cache: UserCache | None = None
    laptop: Cors | None = None
    """The rules of `http.cors`, which name the pages that may be Studio without a key; None: Studio needs a
    key."""

    @classmethod
    def open(cls, settings: Settings) -> AccessControl:
        """The access control that the settings describe. Raises `ConfigError`."""
        keys = ApiKeys.open(settings.api_keys, settings.api_keys_file)
        if settings.auth_path is None:
            return cls(keys=keys)
        auth = load_auth(settings.auth_path, settings.source, settings.import_paths)
        if auth._authenticate_handler is None and keys is None:
            raise ConfigError(
                f"auth.path: {settings.auth_path}: no handler says who asks: it must have a function under "
                "@auth.authenticate, or the service must have API keys"
            )
        cache = UserCache(settings.auth_cache) if settings.auth_cache else None
        laptop = settings.http.cors if keys is None and _believes_studio(settings) else None
        return cls(auth, keys, studio=not settings.disable_studio_auth, cache=cache, laptop=laptop)

    @property
    def closed(self) -> bool:
        """Whether callers must authenticate."""
        return self.auth is not None or self.keys is not None

    @property
    def reads_body(self) -> bool:
        """Whether the authentication handler reads the body, which must then be received first."""
        handler = self.auth and self.auth._authenticate_handler
        return bool(handler and parameters_of(handler) & {"body", "request"})

    async def authenticate(self, request: Request) -> User | None:
        """The user who makes the request; None when the service is open. Raises `Unauthenticated`,
        `Forbidden`, `RefusedByHandler`, `HandlerFailed`."""
        key = self._key(request)
        if (studio := self._studio(request, key)) is not None:
            return studio
        if self.auth is not None and (handler := self.auth._authenticate_handler) is not None:
            return await self._remembered(handler, request)
        return None if key is None else User({"identity": key})

    async def _remembered(self, handler: Any, request: Request) -> User:
        """Like `_ask`, but answers from the cache if the user was authenticated a moment ago."""
        key = self.cache.key_of(request.headers) if self.cache else None
        if self.cache is None or key is None:
            return await _ask(handler, request)
        known = self.cache.get(key)
        if known is None:
            known = await _ask(handler, request)
            self.cache.put(key, known)
        return known

    @property
    def decides(self) -> bool:
        """Whether there are authorisation handlers, so that users may differ in what they may do."""
        return self.auth is not None and has_handlers(self.auth)

    async def authorize(
        self, user: User | None, resource: Resource, action: Action, value: dict[str, Any]
    ) -> Scope | None:
        """Like `authorization.authorize`; without an `Auth` object everything is permitted."""
        return None if self.auth is None else await authorize(self.auth, user, resource, action, value)

    async def authorize_shared(
        self, user: User | None, resource: Resource, action: Action, value: dict[str, Any]
    ) -> None:
        """Like `authorization.authorize_shared`; without an `Auth` object everything is permitted."""
        if self.auth is not None:
            await authorize_shared(self.auth, user, resource, action, value)

    def _key(self, request: Request) -> str | None:
        """The name of the request's API key; None if the service has no keys. Raises `Unauthenticated`."""
        if self.keys is None:
            return None
        given = request.headers.get(KEY_HEADER, "")
        name = self.keys.name_of(given)
        if name is None:
            what = "not valid" if given else "missing"
            raise Unauthenticated(f"X-Api-Key: {what}: must be an API key of this service")
        return name

    def _studio(self, request: Request, key: str | None) -> User | None:
        """The user that stands for Studio, if the request comes from Studio; else None."""
        if self.auth is None or not self.studio or not marked(request.headers):
            return None
        if key is not None:
            return studio_user(key)
        here = self.laptop is not None and comes_from_here(request.scope, self.laptop)
        return studio_user(NAME) if here else None


def _believes_studio(settings: Settings) -> bool:
    """Whether Studio gets access without a key. Logged, unless `disable_studio_auth` is set."""
    if settings.disable_studio_auth:
        return False
    if settings.not_a_laptop is not None:
        log.info("studio.closed", reason=settings.not_a_laptop)
        return False
    log.warning(
        "studio.open",
        reason="on this machine whoever says to be LangGraph Studio gets in without authentication, as with "
        "the development server; auth.disable_studio_auth of langgraph.json closes it",
    )
    return True


async def _ask(handler: Any, request: Request) -> User:
    """The user that the graphs' authentication handler returns. Raises `Unauthenticated`, `Forbidden`,
    `RefusedByHandler`, `HandlerFailed`."""
    offered = await _offer(request, parameters_of(handler))
    try:
        async with solved(handler, request) as needed:
            given = {**offered, **needed}
            if inspect.iscoroutinefunction(handler):
                answer = await handler(**given)
            else:
                answer = await run_in_threadpool(handler, **given)
                answer = await answer if inspect.isawaitable(answer) else answer
        user = user_from(answer)
    except Unauthenticated:
        raise
    except AssertionError as wrong:
        raise Unauthenticated(str(wrong) or "Unauthorized") from wrong
    except AuthenticationError as wrong:
        raise Forbidden(str(wrong) or "Forbidden") from wrong
    except MalformedUser as wrong:
        log.error("auth.malformed", reason=str(wrong))
        raise HandlerFailed(str(wrong)) from wrong
    # The handler is the user's code: it may raise anything, and nothing that it raises gives access.
    except RAISED as wrong:
        if is_cancelled(wrong):
            raise
        raise refusal_of(wrong) or _failed(wrong) from wrong
    if user is None:
        raise Unauthenticated("Unauthorized")
    return user


def _failed(raised: BaseException) -> HandlerFailed:
    log.error("auth.handler_failed", handler="authenticate", exc_info=raised)
    return HandlerFailed("@auth.authenticate failed; the log of this replica has the reason")


async def _offer(request: Request, names: frozenset[str]) -> dict[str, Any]:
    """The values of the handler's parameters with these names."""
    scope = request.scope
    offered: dict[str, Any] = {
        "request": request,
        "path": request.url.path,
        "method": request.method,
        "path_params": dict(request.path_params),
        "query_params": request.query_params,
        "headers": dict(scope["headers"]),
        "authorization": request.headers.get("authorization"),
        "scope": scope,
        "user": scope.get("user"),
        "scopes": list(scope["auth"].scopes) if "auth" in scope else [],
    }
    if "body" in names:
        offered["body"] = await request.json() if await request.body() else None
    return {name: offered[name] for name in names}
