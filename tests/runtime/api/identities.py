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
