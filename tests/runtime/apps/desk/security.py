"""Who may come in: a token names its owner; permissions come first, as the SDK documents it."""

from langgraph_sdk import Auth

auth = Auth()


@auth.authenticate
async def authenticate(authorization: str | None) -> tuple[list[str], str]:
    """The permissions and the name of who has the token."""
    if not (authorization or "").startswith("Bearer "):
        raise Auth.exceptions.HTTPException(status_code=401, detail="a token is needed")
    return ["talk"], str(authorization).removeprefix("Bearer ")
