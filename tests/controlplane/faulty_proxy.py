"""A proxy before the API server that answers wrongly, late, or not at all, for as long as it is set to.

Which request meets which fault is drawn from a seed. Leases are left alone: an operator that can't renew its
own has to end.
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import yaml
from aiohttp import web

from controlplane.controlplane_server import ControlPlane

_PASSED_ON = ("Authorization", "Accept", "Content-Type")
Fault = Callable[[web.Request], Coroutine[Any, Any, web.StreamResponse]]


def _status(code: int, reason: str, **headers: str) -> Fault:
    async def answer(_: web.Request) -> web.StreamResponse:
        body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason}
        return web.json_response(body | {"message": "a fault of the tests"}, status=code, headers=headers)

    return answer


def _told(text: str) -> Fault:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text=text, content_type="application/json")

    return answer


async def _cut(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


def _event(code: int) -> str:
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "code": code,
        "reason": "Fault",
        "message": "of the tests",
    }
    return json.dumps({"type": "ERROR", "object": status}) + "\n"


ABSENT: Fault = _status(404, "NotFound")
FAULTS: dict[str, Fault] = {
    "429": _status(429, "TooManyRequests", **{"Retry-After": "1"}),
    "409": _status(409, "Conflict"),
    "500": _status(500, "InternalError"),
    "503": _status(503, "ServiceUnavailable"),
    "504": _status(504, "Timeout"),
    "cut": _cut,
    "page": _told("<html>a login</html>"),
    "empty": _told(""),
    "list": _told("[]"),
}
WATCH_FAULTS: dict[str, Fault] = {
    "410": _told(_event(410)),
    "error": _told(_event(500)),
    "half": _told('{"type": "MODIFIED", "object": {"meta'),
    "none": _told(""),
    "odd": _told('{"type": "ADDED"}\n[]\n'),
    "429": FAULTS["429"],
    "503": FAULTS["503"],
    "cut": _cut,
}


async def _silent(request: web.Request) -> web.StreamResponse:
    """Nothing is said, and the connection stays."""
    response = web.StreamResponse()
    await response.prepare(request)
    while request.transport is not None and not request.transport.is_closing():
        await asyncio.sleep(0.1)
    return response


class FaultyProxy:
    """`share` of the requests meet a fault, and each watch of a kind in `forced` that one of `WATCH_FAULTS`,
    or silence;
    nothing is there below the paths of `absent`. `met` counts them. Writes to objects whose path ends with
    `held` wait until `released`; `waits` is set once one does, `answered` once one has gone through."""

    def __init__(self, plane: ControlPlane, http: aiohttp.ClientSession, seed: int) -> None:
        self.share = 0.0
        self.forced: dict[str, str] = {}
        self.absent: tuple[str, ...] = ()
        self.held: str | None = None
        self.waits, self.released, self.answered = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.met: Counter[str] = Counter()
        self._watches: dict[int, web.Request] = {}
        self._plane = plane
        self._http = http
        self._drawn = random.Random(seed)

    def heal(self) -> None:
        """From now on all goes through."""
        self.share = 0.0
        self.forced = {}
        self.absent = ()

    def cut_watches(self) -> None:
        """All that are open end in the middle."""
        for request in self._watches.values():
            if request.transport is not None:
                request.transport.close()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        is_watch = request.query.get("watch") == "true"
        plural = request.path.rsplit("/", 1)[1]
        if self.held is not None and request.method == "PATCH" and request.path.endswith(self.held):
            # read first: whoever asked may have given up when it goes on
            await request.read()
            self.waits.set()
            await self.released.wait()
            try:
                return await self._pass_on(request)
            finally:
                self.answered.set()
        if request.path.startswith(self.absent):
            self.met[f"absent {'watch' if is_watch else plural}"] += 1
            return await ABSENT(request)
        if is_watch and plural in self.forced:
            self.met[f"{plural} {self.forced[plural]}"] += 1
            return await (WATCH_FAULTS | {"silent": _silent})[self.forced[plural]](request)
        if "/leases" not in request.path and self._drawn.random() < self.share:
            faults = WATCH_FAULTS if is_watch else FAULTS
            name = self._drawn.choice(sorted(faults))
            self.met[f"{'watch ' if is_watch else ''}{name}"] += 1
            # a write may have been done although its answer is lost
            if not is_watch and name in {"cut", "504", "page"} and self._drawn.random() < 0.5:
                await self._pass_on(request)
            return await faults[name](request)
        if not is_watch:
            return await self._pass_on(request)
        self._watches[id(request)] = request
        try:
            return await self._pass_on(request)
        finally:
            del self._watches[id(request)]

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        url = f"{self._plane.url}{request.rel_url}"
        body = await request.read() or None
        async with self._http.request(request.method, url, headers=headers, data=body) as answer:
            response = web.StreamResponse(status=answer.status)
            response.content_type = answer.content_type
            await response.prepare(request)
            with suppress(ConnectionError):
                async for piece in answer.content.iter_any():
                    await response.write(piece)
                await response.write_eof()
            return response

    def kubeconfig(self, url: str) -> str:
        """As the administrator's, but through this proxy."""
        known = yaml.safe_load(self._plane.kubeconfig.read_text())
        known["clusters"][0]["cluster"] = {"server": url}
        return yaml.safe_dump(known)


@asynccontextmanager
async def faulty_proxy(plane: ControlPlane, seed: int) -> AsyncIterator[tuple[FaultyProxy, str]]:
    """The proxy and its address, while the context is open."""
    trusted = ssl.create_default_context(cafile=plane.ca)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=trusted, limit=0), timeout=timeout
    ) as http:
        proxy = FaultyProxy(plane, http, seed)
        app = web.Application(client_max_size=8 * 2**20)
        app.router.add_route("*", "/{path:.*}", proxy.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield proxy, f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()
