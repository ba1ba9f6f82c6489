"""The user or API key on whose behalf the storage is changed: the name that versions and the audit trail
keep.

The API sets it once per request (`acting`), and the storages read it when they write. None means that the
service acts by itself. A context variable holds it, so each task has its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_actor: ContextVar[str | None] = ContextVar("lgs_actor", default=None)


def who() -> str | None:
    """The user, or the name of the API key, on whose behalf this task works; None: unknown."""
    return _actor.get()


def act_for(name: str | None) -> None:
    """Makes this task work on behalf of `name` from now on."""
    _actor.set(name)


@contextmanager
def acting(name: str | None) -> Iterator[None]:
    """Everything changed inside this context is changed on behalf of `name`."""
    token = _actor.set(name)
    try:
        yield
    finally:
        _actor.reset(token)
