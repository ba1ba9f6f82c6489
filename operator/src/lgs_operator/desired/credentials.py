"""The password of the managed database: made once, and again on request or if its Secret is lost. Pure.

Two roles take turns, so that replicas with the old password go on until the last of them is gone: until then
it is `previous`, and afterwards it is void.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from lgs_crds.status import timestamp, timestamp_of
from lgs_operator.kube.kinds import Manifest

ROTATED_FOR_ANNOTATION: Final = "lgs.dev/rotated-for"
CHANGED_AT_ANNOTATION: Final = "lgs.dev/password-changed-at"
CREDENTIALS_ANNOTATION: Final = "lgs.dev/credentials"
"""The annotation of a pod with the digest of the credentials that it was made for."""
REDIS_CREDENTIALS_ANNOTATION: Final = "lgs.dev/redis-credentials"
ROLES: Final = ("lgs", "lgs_turn")
"""The database roles: the first owns everything, the second acts as the first."""


class NotText(ValueError):
    """A value of the Secret is not text; the message is its key."""


@dataclass(frozen=True)
class Login:
    """The role and password with which a replica connects to the database."""

    role: str
    password: str


@dataclass(frozen=True)
class Credentials:
    """The present login, and the previous one while replicas use it. `rotated_for` is the annotation's value
    when the password was made, `changed_at` the time of that (None if it was not noted)."""

    current: Login
    previous: Login | None = None
    rotated_for: str | None = None
    changed_at: str | None = None

    @property
    def digest(self) -> str:
        """A digest that differs for each login and reveals nothing of it."""
        return password_digest(f"{self.current.role}\0{self.current.password}")

    def values(self) -> dict[str, str]:
        """The keys of the Secret with their values, except the address."""
        values = {"username": self.current.role, "password": self.current.password}
        if self.previous is not None:
            values |= {"previous-username": self.previous.role, "previous-password": self.previous.password}
        return values

    def annotations(self) -> dict[str, str]:
        """The annotations of the Secret."""
        noted = {ROTATED_FOR_ANNOTATION: self.rotated_for, CHANGED_AT_ANNOTATION: self.changed_at}
        return {name: value for name, value in noted.items() if value is not None}


def password_digest(text: str) -> str:
    """A digest of the password. Pods carry it, so that a new password makes new pods."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_credentials(secret: Manifest | None) -> Credentials | None:
    """The credentials in the Secret; None without a password. Raises `NotText`."""
    data: Mapping[str, Any] = (secret or {}).get("data") or {}
    password = _text(data, "password")
    if secret is None or not password:
        return None
    previous = Login(_role(_text(data, "previous-username")), _text(data, "previous-password"))
    current = Login(_role(_text(data, "username")), password)
    noted = secret["metadata"].get("annotations") or {}
    return Credentials(
        current=current,
        previous=previous if previous.password and previous.role != current.role else None,
        rotated_for=noted.get(ROTATED_FOR_ANNOTATION),
        changed_at=timestamp_of(noted.get(CHANGED_AT_ANNOTATION)),
    )


def is_rotation_due(known: Credentials | None, asked: str | None) -> bool:
    """Whether the annotation has a new value and no rotation is under way."""
    return bool(known and known.previous is None and asked and asked != known.rotated_for)


def decide(
    known: Credentials | None,
    *,
    asked: str | None,
    followed: bool,
    now: datetime,
    make: Callable[[], str],
) -> Credentials:
    """The credentials from now on. `asked` is the annotation's value, `followed` says that all replicas use
    the current credentials, `make` makes a password."""
    if known is None:
        return Credentials(Login(ROLES[0], make()), rotated_for=asked, changed_at=timestamp(now))
    if is_rotation_due(known, asked):
        other = ROLES[1 - ROLES.index(known.current.role)]
        return Credentials(Login(other, make()), known.current, asked, timestamp(now))
    if known.previous is not None and followed:
        return replace(known, previous=None)
    return known


def seconds_to_take_over(
    credentials: Credentials, carried: Collection[str | None], *, now: datetime, at_most: float
) -> float | None:
    """Seconds to wait before replicas with old credentials are replaced, since the database may not
    have taken over the new password yet, and the old one is valid; None to replace them at once.
    `carried` are the digests in their templates. If the old password was lost, there is no wait:
    existing replicas will be refused."""
    if not carried or set(carried) == {credentials.digest}:
        return None
    if credentials.previous is None or credentials.changed_at is None:
        return None
    try:
        left = at_most - (now - datetime.fromisoformat(credentials.changed_at)).total_seconds()
    except (ValueError, TypeError):
        return None
    return left if 0 < left <= at_most else None


def _role(text: str) -> str:
    return text if text in ROLES else ROLES[0]


def _text(data: Mapping[str, Any], key: str) -> str:
    try:
        return b64decode(data.get(key) or "", validate=True).decode()
    except ValueError:
        raise NotText(key) from None
