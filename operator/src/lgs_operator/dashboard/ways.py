"""The ways from the page to what it asks: the operators, which have the history, and the APIs of services."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

_NONE: Final[Mapping[str, str]] = MappingProxyType({})


class Unreachable(Exception):
    """A place can't be reached; the message says why."""


class Way(NamedTuple):
    """A way to one operator: its address, `http://host:port`, and the headers that it must be asked with."""

    url: str
    headers: Mapping[str, str] = _NONE


class Ways(Protocol):
    """How an operator and a service are reached."""

    async def to_operators(self) -> Sequence[Callable[[], Awaitable[Way]]]:
        """A function for each operator that could be asked, which makes the way to it or raises
        `Unreachable`."""
        ...

    async def to_service(self, namespace: str, name: str, uid: str) -> str:
        """The address of the API of the service that has this `uid`, `http://host:port`. Raises
        `Unreachable`."""
        ...
