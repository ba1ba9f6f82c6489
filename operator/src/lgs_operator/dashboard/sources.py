"""Where the page has its services from: the histories of this process, or those of a cluster's operator."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from lgs_operator.history.service import Histories

Json = dict[str, Any]


class Unread(Exception):
    """What is shown can't be read now; says why."""


class Api(NamedTuple):
    """Where the API of a service is asked, `http://host:port`, and what tells the service from another one of
    its name: that is made anew, of another cluster, of another folder."""

    url: str
    uid: str


class Source(Protocol):
    """What is shown."""

    async def services(self) -> Json:
        """`{"now", "services": [{"namespace", "name", "at", "values", "decision", "facts"}]}`; beside it
        `trouble`, in words, where something could not be read."""
        ...

    async def history(self, namespace: str, name: str, seconds: float, since: float | None) -> Json | None:
        """The last `seconds` of one, or what came since; None: there is no such service."""
        ...

    async def api(self, namespace: str, name: str) -> Api | None:
        """That of one; None where it can't be asked."""
        ...


class Kept:
    """The histories of this process. What else is known of a service a front of them may add."""

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
        """See `Source`: of services alone nobody knows where they are."""
        return None
