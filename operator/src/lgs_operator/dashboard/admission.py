"""What a request for sessions must bring, before it is passed on to the API of a service.

On the loopback interface whoever has an account on the machine may ask, as with `kubectl port-forward`. A
page with a Service is open to whoever reaches it, so there a request must bring a token, and the API must be
one that refuses who brings none: otherwise any text would be a token, and the page would open to its visitors
what only the cluster's network reaches.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Final, Protocol

import aiohttp
from aiohttp import web

from lgs_operator.dashboard.sources import Api

UID: Final = "Lgs-Service"
"""The header that names a service: in an answer the one that answered, in a request the one that
may have its token."""
AUTHORIZATION: Final = "Lgs-Authorization"
"""The header in which the page sends what the service gets as `Authorization`. A proxy in front of the page
may put a token of its own into `Authorization`, and no service may have that one."""
KEY: Final = "X-Api-Key"
VIA: Final = "1.1 lgs-dashboard"
"""Sent with each request: a service that trusts requests from its own machine as its developer's is told that
this is not one."""
CLOSED_SECONDS: Final = 5.0
"""Seconds for which it is remembered whether an API refuses who brings no token."""
_PATIENCE: Final = aiohttp.ClientTimeout(total=10)
_MOST_REMEMBERED: Final = 1000
_NOBODYS: Final = "/threads/00000000-0000-0000-0000-000000000000"
_NO_TOKEN: Final = (
    "this page shows sessions to who gives a token of the service's API: an API key or a bearer token"
)
_OPEN: Final = (
    "the API of this service asks nobody for a token, so this page shows none of its sessions: give it API "
    "keys (spec.auth), or use `lgs dashboard`, which has your rights in the cluster"
)


class Admission(Protocol):
    """Who may ask for sessions."""

    async def admit(
        self, sent: Mapping[str, str], api: Api, session: aiohttp.ClientSession
    ) -> dict[str, str]:
        """The headers with the token, as the service is to get them, of a request that has sent these. Raises
        `web.HTTPException`."""
        ...


class Anybody:
    """Whoever can connect may ask, with the token that they give."""

    async def admit(
        self, sent: Mapping[str, str], api: Api, session: aiohttp.ClientSession
    ) -> dict[str, str]:
        """See `Admission`."""
        given = {name: sent[name] for name in ("Authorization", KEY) if name in sent}
        return given | _of_page(sent)


class WithToken:
    """Only who gives a token may ask, and only an API that refuses who gives none is asked."""

    def __init__(self) -> None:
        self._closed: dict[Api, tuple[float, bool]] = {}
        self._locks: dict[Api, asyncio.Lock] = {}

    async def admit(
        self, sent: Mapping[str, str], api: Api, session: aiohttp.ClientSession
    ) -> dict[str, str]:
        """See `Admission`. Answers 401 without a token, 403 where the API is open."""
        given = _of_page(sent) | ({KEY: sent[KEY]} if sent.get(KEY) else {})
        # A token without the service that it is for was put there by a proxy, not by the page.
        if not given or UID not in sent:
            raise web.HTTPUnauthorized(text=f"{_NO_TOKEN}\n", headers={UID: api.uid})
        if not await self._is_closed(api, session):
            raise web.HTTPForbidden(text=f"{_OPEN}\n", headers={UID: api.uid})
        return given

    async def _is_closed(self, api: Api, session: aiohttp.ClientSession) -> bool:
        if len(self._locks) > _MOST_REMEMBERED:
            self._closed.clear()
            self._locks.clear()
        async with self._locks.setdefault(api, asyncio.Lock()):
            asked_at, closed = self._closed.get(api, (-CLOSED_SECONDS, False))
            if time.monotonic() - asked_at >= CLOSED_SECONDS:
                closed = await _refuses_nobody(api, session)
                self._closed[api] = time.monotonic(), closed
            return closed


async def _refuses_nobody(api: Api, session: aiohttp.ClientSession) -> bool:
    """Whether the API refuses a request without a token. Raises `web.HTTPBadGateway` while that can't be
    told."""
    try:
        async with session.get(
            f"{api.url}{_NOBODYS}", headers={"Via": VIA}, allow_redirects=False, timeout=_PATIENCE
        ) as answer:
            status = answer.status
    except (aiohttp.ClientError, TimeoutError) as error:
        why = f"the service does not answer: {type(error).__name__}\n"
        raise web.HTTPBadGateway(text=why, headers={UID: api.uid}) from None
    if status >= 500 or status == 429:
        why = f"whether the service asks for a token can't be told: it answers {status}\n"
        raise web.HTTPBadGateway(text=why, headers={UID: api.uid})
    return status in (401, 403)


def _of_page(sent: Mapping[str, str]) -> dict[str, str]:
    return {"Authorization": sent[AUTHORIZATION]} if sent.get(AUTHORIZATION) else {}
