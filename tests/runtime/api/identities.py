"""Auth objects for the API's tests, as a user of LangGraph writes them: a token is the name of its owner."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import fastapi
import pydantic
import starlette.exceptions
from langgraph_sdk import Auth
from starlette.authentication import AuthCredentials, AuthenticationError, SimpleUser

PEOPLE = {
    "alice-token": {"identity": "alice", "display_name": "Alice", "permissions": ["chat"], "city": "Oslo"},
    "bob-token": {"identity": "bob", "permissions": []},
}

tokens = Auth()


@tokens.authenticate
async def by_token(authorization: str | None) -> dict[str, Any]:
    assert authorization, "say who you are"
    token = authorization.removeprefix("Bearer ")
    if token not in PEOPLE:
        raise Auth.exceptions.HTTPException(
            status_code=401, detail=f"unknown token of {len(token)} letters", headers={"X-Try": "again"}
        )
    return PEOPLE[token]


everything = Auth()


@everything.authenticate
def by_everything(
    request: Any,
    body: Any,
    path: str,
    method: str,
    path_params: dict[str, str],
    query_params: dict[str, str],
    headers: dict[bytes, bytes],
    authorization: str | None,
) -> dict[str, Any]:
    return {
        "identity": "anyone",
        "seen": {
            "url": str(request.url.path),
            "body": body,
            "path": path,
            "method": method,
            "path_params": path_params,
            "query_params": query_params,
            "header": headers[b"x-mark"].decode(),
            "authorization": authorization,
        },
    }


class Person:
    """A user as an object of the application's own."""

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.team = "blue"


objects = Auth()


@objects.authenticate
async def by_object(authorization: str | None) -> Person | None:
    return Person(authorization) if authorization else None


mistaken = Auth()


@mistaken.authenticate
async def by_mistake(authorization: str | None) -> dict[str, str]:
    return {"name": "nobody said who"}


asks_too_much = Auth()


@asks_too_much.authenticate
async def by_session(session: str) -> str:
    return session


nobody = Auth()

owners = Auth()
"""Private conversations, as LangGraph's tutorial makes them, with a store of one's own."""


@owners.authenticate
async def of_owners(authorization: str | None) -> dict[str, Any]:
    return await by_token(authorization)


@owners.on
async def own_things(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> dict[str, str]:
    mine = {"owner": ctx.user.identity}
    value.setdefault("metadata", {}).update(mine)
    return mine


@owners.on.store
async def own_store(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> None:
    value["namespace"] = (ctx.user.identity, *(value["namespace"] or ()))


cache_keepers = Auth()
"""Alice administers the cache."""


@cache_keepers.authenticate
async def of_cache_keepers(authorization: str | None) -> dict[str, Any]:
    return await by_token(authorization)


@cache_keepers.on(resources="cache")
async def keepers_alone(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> bool:
    return ctx.user.identity == "alice"


rules = Auth()
"""One of each kind of handler and answer."""
rules_asked: list[tuple[str, str, dict[str, Any]]] = []


@rules.authenticate
async def of_rules(authorization: str | None) -> dict[str, Any]:
    return await by_token(authorization)


@rules.on
async def nothing_else(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> bool:
    rules_asked.append((ctx.resource, ctx.action, value))
    return False


@rules.on.threads
async def shared_threads(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> dict[str, Any]:
    name = ctx.user.identity
    return {"$or": [{"owner": {"$eq": name}}, {"members": {"$contains": name}}]}


@rules.on.threads.create
async def stamped(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> None:
    value.setdefault("metadata", {})["owner"] = ctx.user.identity


@rules.on.threads.create_run
async def with_permission(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> dict[str, Any] | None:
    assert "chat" in ctx.permissions, "may not chat"
    value["kwargs"]["context"] = {**(value["kwargs"]["context"] or {}), "stamped": True}
    value.setdefault("metadata", {})["owner"] = ctx.user.identity
    if value["metadata"].get("upset"):
        value["metadata"]["priority"] = "high"
    return {"owner": ctx.user.identity}


@rules.on.threads.delete
async def paid(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> None:
    raise Auth.exceptions.HTTPException(status_code=402, detail="pay first")


@rules.on.assistants.search
async def broken_filter(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> dict[str, Any]:
    return {"owner": {"$like": "a%"}}


@rules.on.assistants.read
async def mistaken_handler(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> None:
    raise KeyError("a mistake with a secret in it")


@rules.on.store
async def filtered_store(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> dict[str, Any]:
    return {"owner": ctx.user.identity}


fixed = Auth()
"""Users make threads and run them; what is in them only a run changes."""


@fixed.authenticate
async def of_fixed(authorization: str | None) -> dict[str, Any]:
    return await by_token(authorization)


@fixed.on.threads
async def no_change(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> bool:
    return ctx.action != "update"


counted = Auth()
visits: list[str | None] = []
"""Whom the handler of `counted` was asked about."""


@counted.authenticate
async def by_counting(authorization: str | None) -> dict[str, Any]:
    visits.append(authorization)
    return await by_token(authorization)


@dataclass
class Member:
    """A user as a dataclass."""

    identity: str = "ann"
    permissions: list[str] = field(default_factory=lambda: ["read"])
    team: str = "blue"


class Slotted:
    """A user without a dictionary."""

    __slots__ = ("identity", "team")

    def __init__(self) -> None:
        self.identity, self.team = "ann", "blue"


class Named(NamedTuple):
    """A user that is a tuple too."""

    identity: str = "ann"
    team: str = "blue"


class Computed:
    """A user all of whose fields are computed."""

    @property
    def identity(self) -> str:
        return "ann"

    @property
    def display_name(self) -> str:
        return "Ann"

    @property
    def team(self) -> str:
        return "blue"

    def leave(self) -> None: ...


class Modelled(pydantic.BaseModel):
    """A user as a pydantic model."""

    identity: str = "ann"
    team: str = "blue"
    joined: date = date(2026, 1, 2)


def refusing(refusal: Exception) -> Callable[[], Any]:
    def refuse() -> Any:
        raise refusal

    return refuse


FORMS: dict[str, Callable[[], Any]] = {
    "text": lambda: "ann",
    "mapping": lambda: {"identity": "ann", "team": None, "org": {"id": 1}},
    "permitted_mapping": lambda: {"identity": "ann", "permissions": ("read", "write")},
    "unsaid": lambda: {
        "identity": "ann",
        "display_name": None,
        "is_authenticated": None,
        "permissions": None,
    },
    "tuple": lambda: (["read"], {"identity": "ann", "team": "blue"}),
    "tuple_of_text": lambda: (("read",), "ann"),
    "tuple_without_permissions": lambda: (None, "ann"),
    "starlette": lambda: SimpleUser("ann"),
    "starlette_tuple": lambda: (AuthCredentials(["read"]), SimpleUser("ann")),
    "dataclass": Member,
    "slots": Slotted,
    "named_tuple": Named,
    "properties": Computed,
    "pydantic": Modelled,
    "set_of_permissions": lambda: ({"read"}, "ann"),
    "no_json": lambda: {
        "identity": "ann",
        "teams": {"red", "blue"},
        "org": MappingProxyType({"id": 1}),
        "home": PurePosixPath("/home/ann"),
    },
    "number": lambda: {"identity": 7},
    "uuid": lambda: {"identity": UUID(int=7)},
    "no_identity": lambda: {"name": "ann"},
    "empty": lambda: "",
    "list": lambda: ["ann"],
    "tuple_of_three": lambda: ("a", "b", "c"),
    "permissions_in_words": lambda: ("read", "ann"),
    "permission_count": lambda: (3, "ann"),
    "none": lambda: None,
    "not_authenticated": lambda: ([], {"identity": "ann", "is_authenticated": False}),
    "assertion": refusing(AssertionError("say who you are")),
    "sdk": refusing(Auth.exceptions.HTTPException(status_code=403, detail="not you")),
    "of_starlette": refusing(
        starlette.exceptions.HTTPException(418, "tea only", headers={"x-why": "teapot"})
    ),
    "of_fastapi": refusing(fastapi.HTTPException(402, "pay first", headers={"x-why": "money"})),
    "authentication_error": refusing(AuthenticationError("no such user")),
    "mistake": refusing(KeyError("a mistake with a secret in it")),
}
forms = Auth()


@forms.authenticate  # type: ignore[arg-type]
def in_form(headers: dict[bytes, bytes], scopes: list[str], scope: dict[str, Any], user: Any) -> Any:
    """Every second form as an ordinary function would give it, the others awaited."""
    assert (scopes, scope["type"], user) == ([], "http", None)
    name = headers[b"x-form"].decode()

    async def later() -> Any:
        return FORMS[name]()

    return later() if len(name) % 2 else FORMS[name]()


dependent = Auth()
closed_sessions: list[str] = []


async def session(x_session: Annotated[str, fastapi.Header()]) -> AsyncIterator[str]:
    yield x_session
    closed_sessions.append(x_session)


def named(session: Annotated[str, fastapi.Depends(session)]) -> str:
    if session == "old":
        raise fastapi.HTTPException(419, "too old")
    return f"user of {session}"


@dependent.authenticate  # type: ignore[arg-type]
async def by_dependency(method: str, name: Annotated[str, fastapi.Depends(named)]) -> Any:
    return {"identity": name, "method": method}


private = Auth()
"""Threads are their owner's, assistants everybody's."""


@private.authenticate
async def of_private(authorization: str | None) -> dict[str, Any]:
    return await by_token(authorization)


@private.on.threads
async def own_threads(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> dict[str, str]:
    return await own_things(ctx, value)
