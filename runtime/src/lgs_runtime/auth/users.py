"""The user of a request, as the graphs' authentication returned it.

A user is a mapping of JSON values, which any JSON or msgpack encoder accepts, and can also be read like an
object (`user.identity`, `user.city`), as LangGraph's own. Runs and crons created for a user store the
mapping.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson
from langgraph_sdk import Auth

from lgs_runtime.checks import kind_of
from lgs_runtime.errors import RefusedByHandler

STUDIO = "StudioUser"
KNOWN = ("identity", "display_name", "is_authenticated", "permissions")
FORMS = (
    "it must return a text, a mapping or an object with identity, or a tuple of permissions and one of these"
)


class MalformedUser(Exception):
    """An authentication handler returned something that is no user. The message gives the rule, and of the
    value only its type."""


class User(dict[str, Any]):
    """An authenticated user. A field can be read as an item, or as an attribute unless a `dict` method has
    its name."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        """`fields` must hold `identity`; they are JSON."""
        super().__init__(
            {"display_name": fields["identity"], "is_authenticated": True, "permissions": [], **fields}
        )

    @property
    def identity(self) -> str:
        """The identity that distinguishes this user from others."""
        return str(self["identity"])

    @property
    def display_name(self) -> str:
        """A name for people."""
        return str(self["display_name"])

    @property
    def is_authenticated(self) -> bool:
        """Always true: requests of others are refused before."""
        return bool(self["is_authenticated"])

    @property
    def permissions(self) -> Sequence[str]:
        """The permissions that the graphs' authentication gave to this user."""
        return list(self["permissions"])

    def __getattr__(self, name: str) -> Any:
        """A field that the graphs' authentication added."""
        if name.startswith("_") or name not in self:
            raise AttributeError(name)
        return self[name]

    def __repr__(self) -> str:
        """Shows only the identity: other fields may hold secrets."""
        return f"User({self.identity!r})"

    def to_json(self) -> Mapping[str, Any]:
        """The fields, to be stored."""
        return {**self}

    model_dump = dict = to_json
    """The names by which LangGraph's own user returns its fields."""


def studio_user(name: str) -> User:
    """The user that stands for LangGraph Studio."""
    return User({"identity": name, "kind": STUDIO})


def seen_by_handlers(user: User) -> Any:
    """The user as authorisation handlers expect it: Studio's user has its own type."""
    if user.get("kind") == STUDIO:
        return Auth.types.StudioUser(user.identity, is_authenticated=True)
    return user


def user_from(answer: Any) -> User | None:
    """The user in an authentication handler's answer, which may have any form of `langgraph_sdk.Auth`: a
    text, a mapping or an object (also Starlette's), alone or in a tuple after its permissions. None if the
    user is not authenticated. Raises `MalformedUser` for anything else."""
    allowed: Any = None
    if isinstance(answer, tuple) and not hasattr(answer, "identity"):
        if len(answer) != 2:
            raise _malformed(f"a tuple of {len(answer)}")
        allowed, answer = answer
    if answer is None or answer is False:
        return None
    fields = {name: value for name, value in _fields(answer).items() if _is_said(name, value)}
    fields["identity"] = _identity(answer, fields)
    if fields.get("is_authenticated") is False:
        return None
    fields["permissions"] = _permissions(fields.get("permissions") if allowed is None else allowed)
    return User(orjson.loads(orjson.dumps(fields, default=_plain, option=orjson.OPT_NON_STR_KEYS)))


def _is_said(name: str, value: Any) -> bool:
    """Whether to keep a field. A None in one of LangGraph's own fields means its default; `kind`, which marks
    Studio's user, is never taken from a handler."""
    return name != "kind" and (value is not None or name not in KNOWN)


def _identity(answer: Any, fields: Mapping[str, Any]) -> str:
    """The user's identity, as text. Starlette's own users have a display name instead. Raises
    `MalformedUser`."""
    found = fields.get("identity")
    if found is None and not isinstance(answer, Mapping):
        found = fields.get("display_name")
    if isinstance(found, int | UUID) and not isinstance(found, bool):
        found = str(found)
    if not isinstance(found, str) or not found:
        kind = "an empty text" if found == "" else kind_of(found)
        raise _malformed(f"{kind_of(answer)} whose identity is {kind}")
    return found


def _permissions(given: Any) -> list[str]:
    """The permissions as a list of texts, from any iterable of them or from Starlette's `AuthCredentials`.
    Raises `MalformedUser`."""
    given = getattr(given, "scopes", given)
    if given is None:
        return []
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise _malformed(f"permissions that are {kind_of(given)} and no list of texts")
    return [str(permission) for permission in given]


def _malformed(what: str) -> MalformedUser:
    return MalformedUser(f"@auth.authenticate returned {what}; {FORMS}")


def _fields(answer: Any) -> dict[str, Any]:
    if isinstance(answer, str):
        return {"identity": answer}
    if isinstance(answer, Mapping):
        return dict(answer)
    if hasattr(answer, "model_dump"):
        return {**answer.model_dump(), **_known(answer, KNOWN)}
    if hasattr(answer, "_asdict"):
        return {**answer._asdict(), **_known(answer, KNOWN)}
    own = {name: value for name, value in getattr(answer, "__dict__", {}).items() if name[0] != "_"}
    return {**own, **_known(answer, (*_declared(type(answer)), *KNOWN))}


def _declared(kind: type) -> Iterable[str]:
    """The properties and slots of a class."""
    for base in kind.__mro__:
        for name, value in vars(base).items():
            if name[0] != "_" and (isinstance(value, property) or hasattr(value, "__objclass__")):
                yield name


def _known(answer: Any, names: Iterable[str]) -> dict[str, Any]:
    found = {}
    for name in names:
        try:
            found[name] = getattr(answer, name)
        # A class may declare a property without implementing it, as Starlette's users do with their identity.
        except (AttributeError, NotImplementedError):
            continue
    return {name: value for name, value in found.items() if not callable(value)}


def _plain(value: Any) -> Any:
    """A JSON-compatible form of a value that JSON can't express."""
    if hasattr(value, "model_dump"):
        return value.model_dump()
    if isinstance(value, Mapping):
        return dict(value)
    return sorted(value, key=str) if isinstance(value, set | frozenset) else str(value)


def refusal_of(raised: BaseException) -> RefusedByHandler | None:
    """The refusal that a handler's exception stands for: `Auth.exceptions.HTTPException`, or any other
    exception with a `status_code` from 400 to 599. None for any other error."""
    status = getattr(raised, "status_code", None)
    if not isinstance(status, int) or not 400 <= status <= 599:
        return None
    headers = getattr(raised, "headers", None) or {}
    return RefusedByHandler(status, str(getattr(raised, "detail", raised)), dict(headers))
