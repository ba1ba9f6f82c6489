"""Where the page gets its services from: the histories of this process, or those of a cluster's operator."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from lgs_operator.history.service import Histories

Json = dict[str, Any]


class Unread(Exception):
    """What is to be shown can't be read now; the message says why."""


class Api(NamedTuple):
    """The address of a service's API, `http://host:port`, and a `uid` that distinguishes the service from
    others of the same name: a later one, one in another cluster, one from another folder."""

    url: str
    uid: str


class Source(Protocol):
    """A source of what the page shows."""

    async def services(self) -> Json:
        """All services: `{"now", "services": [{"namespace", "name", "at", "values", "decision", "facts"}]}`,
        with `trouble`, in words, if something could not be read."""
        ...

    async def history(self, namespace: str, name: str, seconds: float, since: float | None) -> Json | None:
        """The last `seconds` of a service, or what is newer than `since`; None if there
        is no such service."""
        ...

    async def api(self, namespace: str, name: str) -> Api | None:
        """The API of a service; None if it can't be asked."""
        ...


class Kept:
    """A source from the histories of this process. A wrapper may add what else is known of a service."""

    def __init__(self, histories: Histories) -> None:
        self._histories = histories

    async def services(self) -> Json:
        """See `Source`."""
        return {"now": self._histories.now(), "services": self._histories.all()}

    async def history(self, namespace: str, name: str, seconds: float, since: float | None) -> Json | None:
        """See `Source`."""
        found = self._histories.of(namespace, name)
        return None if found is None else found.as_json(self._histories.now(), seconds, since)

    async def api(self, namespace: str, name: str) -> Api | None:
        """See `Source`. Always None: the histories do not know where services are."""
        return None
