"""Auth objects for the API's tests, as a user of LangGraph writes them: a token is the name of its owner."""

from typing import Any

from langgraph_sdk import Auth

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


counted = Auth()
visits: list[str | None] = []
"""Whom the handler of `counted` was asked about."""


@counted.authenticate
async def by_counting(authorization: str | None) -> dict[str, Any]:
    visits.append(authorization)
    return await by_token(authorization)
