"""A server program for as long as a test, or a whole run of tests, needs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar


class Server(Protocol):
    """What can be started, and removed with its data."""

    def start(self) -> None:
        """Returns when it answers."""

    def remove(self) -> None:
        """Stops it, if it runs, and deletes its data."""


AnyServer = TypeVar("AnyServer", bound=Server)


@contextmanager
def running(server: AnyServer) -> Iterator[AnyServer]:
    """Runs it while the context is open; nothing of it is left, even if it could not start."""
    try:
        server.start()
        yield server
    finally:
        server.remove()
