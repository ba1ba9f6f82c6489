"""Who may do what: a customer has their own conversations and their own items of the store, and writes to the
agents; our own people read all, and answer what is handed over.
"""

from __future__ import annotations

from typing import Any

from customers import namespace_of
from handbook import PASSAGES
from intent_agent import by_words
from langgraph_sdk import Auth
from state import LONGEST_QUESTION
from tokens import bearer

auth = Auth()
READS_STORE = ("get", "search", "list_namespaces")


@auth.authenticate
async def authenticate(authorization: str | None) -> Auth.types.MinimalUserDict:
    """Who asks, by their token."""
    known = bearer(authorization)
    if known is None:
        raise Auth.exceptions.HTTPException(status_code=401, detail="a valid token is needed")
    identity = known.name if known.role == "customer" else f"staff:{known.name}"
    return {"identity": identity, "permissions": [known.role], "is_authenticated": True}  # type: ignore[typeddict-unknown-key]


@auth.on
async def nothing_else(ctx: Auth.types.AuthContext, value: Any) -> bool:
    """What has no rule of its own below (changes of assistants, crons) is our own people's."""
    return "staff" in ctx.permissions


@auth.on(resources="cache")
async def cache(ctx: Auth.types.AuthContext, value: Any) -> bool:
    """What is kept for all customers: its counts are our own people's to read, and theirs to empty it. The
    service lets nobody in here by a rule for everything."""
    return "staff" in ctx.permissions


@auth.on.assistants.read
@auth.on.assistants.search
async def assistants(ctx: Auth.types.AuthContext, value: Any) -> bool:
    """Everybody may know which graphs there are."""
    return True


@auth.on.threads
async def threads(ctx: Auth.types.AuthContext, value: Any) -> Any:
    """A customer's conversations are those that they began."""
    if "staff" in ctx.permissions:
        return True
    if ctx.action == "update" and not value.get("action"):
        return False  # To stop a run is theirs; to write into the state, as if an agent had said it, is not.
    if ctx.action == "create":
        _write(value, owner=ctx.user.identity)
    return {"owner": ctx.user.identity}


@auth.on.threads.create_run
async def runs(ctx: Auth.types.AuthContext, value: Any) -> Any:
    """A customer sends messages, and no command that writes state or goes where it likes. An answer is
    checked where it is taken (`handover_agent.py`). What they write decides the run's priority: a complaint
    goes before a question."""
    if "staff" in ctx.permissions:
        return True
    kwargs = value.get("kwargs") or {}
    command = kwargs.get("command") or {}
    if command.get("update") is not None or command.get("goto") is not None:
        raise Auth.exceptions.HTTPException(
            status_code=403, detail="command: a customer sends messages alone"
        )
    if not all(map(_is_of_a_customer, _messages(kwargs.get("input")))):
        raise Auth.exceptions.HTTPException(status_code=403, detail="messages: must be those of a user")
    upset = by_words(_last_text(kwargs.get("input"))) == "complaint"
    _write(value, owner=ctx.user.identity, priority="high" if upset else "normal")
    return {"owner": ctx.user.identity}


@auth.on.store
async def store(ctx: Auth.types.AuthContext, value: Any) -> bool:
    """A customer reads the handbook, and has the items that are about them."""
    if "staff" in ctx.permissions:
        return True
    namespace = tuple(value.get("namespace") or ())
    own = namespace_of(ctx.user.identity)
    if namespace[: len(own)] == own:
        return True
    return ctx.action in READS_STORE and namespace[: len(PASSAGES)] == PASSAGES


def _write(value: Any, **metadata: str) -> None:
    """Into the metadata as they are: LangGraph's development server does not read others that replace
    them."""
    value.setdefault("metadata", {}).update(metadata)


def _messages(given: Any) -> list[Any]:
    messages = given.get("messages") if isinstance(given, dict) else None
    return messages if isinstance(messages, list) else [] if messages is None else [messages]


def _is_of_a_customer(message: Any) -> bool:
    """Whether all messages are the customer's: a message in an agent's name would be history to all who
    read on, and one that removes others would leave them none."""
    if not isinstance(message, dict):
        return isinstance(message, str)
    said = [message[name] for name in ("role", "type") if name in message]
    return bool(said) and all(each in ("user", "human") for each in said)


def _last_text(given: Any) -> str:
    last = next(reversed(_messages(given)), None)
    content = last.get("content") if isinstance(last, dict) else last
    if isinstance(content, list):
        content = " ".join(str(block.get("text", "")) for block in content if isinstance(block, dict))
    return content[:LONGEST_QUESTION] if isinstance(content, str) else ""
