"""Who asks for what the storage changes: the name that versions and the audit trail keep.

The API sets it once a request (`acting`), and the storages read it where they write. None: the service acts
by itself. It is in a context variable, so that each task has its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_actor: ContextVar[str | None] = ContextVar("lgs_actor", default=None)


def who() -> str | None:
    """The user, or the name of the API key, on whose behalf this task works; None: nobody is known."""
    return _actor.get()


def act_for(name: str | None) -> None:
    """From here on this task works on behalf of `name`."""
    _actor.set(name)


@contextmanager
def acting(name: str | None) -> Iterator[None]:
    """What is changed inside is changed on behalf of `name`."""
    token = _actor.set(name)
    try:
        yield
    finally:
        _actor.reset(token)
