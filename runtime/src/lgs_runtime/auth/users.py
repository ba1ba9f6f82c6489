"""The user of a request, as the graph's authentication gave it.

Reads like an object (`user.identity`) and like a mapping (`user["email"]`), as LangGraph's own does. Its
fields are JSON, so that what is made for a user later (runs, crons) can carry it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
from langgraph_sdk import Auth

from lgs_runtime.errors import RefusedByHandler

STUDIO = "StudioUser"


class User(Mapping[str, Any]):
    """Who asks. Extra fields of the graph's own are read by their name."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        """`fields` must hold `identity`; they are JSON."""
        self._fields = {
            "display_name": fields["identity"],
            "is_authenticated": True,
            "permissions": [],
            **fields,
        }

    @property
    def identity(self) -> str:
        """What tells this user from all others."""
        return str(self._fields["identity"])

    @property
    def display_name(self) -> str:
        """A name for people."""
        return str(self._fields["display_name"])

    @property
    def is_authenticated(self) -> bool:
        """Always true: nobody else gets so far."""
        return bool(self._fields["is_authenticated"])

    @property
    def permissions(self) -> Sequence[str]:
        """What the graph's authentication lets this user do."""
        return list(self._fields["permissions"])

    def __getattr__(self, name: str) -> Any:
        """A field of the graph's own."""
        if name.startswith("_") or name not in self._fields:
            raise AttributeError(name)
        return self._fields[name]

    def __getitem__(self, name: str) -> Any:
        """A field."""
        return self._fields[name]

    def __iter__(self) -> Iterator[str]:
        """The names of the fields."""
        return iter(self._fields)

    def __len__(self) -> int:
        """How many fields."""
        return len(self._fields)

    def __repr__(self) -> str:
        """Without the other fields, which may hold secrets."""
        return f"User({self.identity!r})"

    def to_json(self) -> dict[str, Any]:
        """The fields, to be stored."""
        return dict(self._fields)


def studio_user(name: str) -> User:
    """The user that stands for LangGraph Studio."""
    return User({"identity": name, "kind": STUDIO})


def seen_by_handlers(user: User) -> Any:
    """The user as authorisation handlers expect it: those of Studio have a type of their own."""
    if user.get("kind") == STUDIO:
        return Auth.types.StudioUser(user.identity, is_authenticated=True)
    return user


def user_from(answer: Any) -> User | None:
    """The user that an authentication handler means: a string, a mapping with `identity`, or an object with
    one. None for one that is not authenticated. Raises `TypeError` for anything else."""
    if answer is None or answer is False:
        return None
    fields = _fields(answer)
    identity = fields.get("identity")
    if not isinstance(identity, str) or not identity:
        raise TypeError(
            f"the authenticate handler returned a {type(answer).__name__} whose identity is "
            f"{type(identity).__name__}; it must be a text that is not empty"
        )
    if fields.get("is_authenticated") is False:
        return None
    permissions = fields.get("permissions") or ()
    if isinstance(permissions, str):
        raise TypeError("the authenticate handler returned permissions that are a text; they must be a list")
    fields = {name: value for name, value in fields.items() if value is not None and name != "kind"}
    fields["permissions"] = [str(permission) for permission in permissions]
    return User(orjson.loads(orjson.dumps(fields, default=str, option=orjson.OPT_NON_STR_KEYS)))


def _fields(answer: Any) -> dict[str, Any]:
    if isinstance(answer, str):
        return {"identity": answer}
    if isinstance(answer, Mapping):
        return dict(answer)
    if hasattr(answer, "model_dump"):
        return {**answer.model_dump(), **_known(answer)}
    own = {name: value for name, value in getattr(answer, "__dict__", {}).items() if name[0] != "_"}
    return {**own, **_known(answer)}


def _known(answer: Any) -> dict[str, Any]:
    names = ("identity", "display_name", "is_authenticated", "permissions")
    return {name: getattr(answer, name) for name in names if hasattr(answer, name)}


def refusal_of(raised: Exception) -> RefusedByHandler | None:
    """The refusal that a handler means by an exception: `Auth.exceptions.HTTPException`, or any other with a
    `status_code` of 400 and above. None for a mistake."""
    status = getattr(raised, "status_code", None)
    if not isinstance(status, int) or not 400 <= status <= 599:
        return None
    headers = getattr(raised, "headers", None) or {}
    return RefusedByHandler(status, str(getattr(raised, "detail", raised)), dict(headers))
