"""Protocol v2 over HTTP and WebSockets: commands to a thread, and the events of its runs.

An HTTP stream is one subscription; a WebSocket takes commands and carries any number of subscriptions, each
with its own stream. Nothing is kept of a closed connection: a client that reconnects, to any replica, sends
the number of the last event that it has (`since`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any
from uuid import uuid4

from fastapi import Request, Response, WebSocket
from starlette.types import Message
from starlette.websockets import WebSocketDisconnect

from lgs_runtime.api.access import Parts, router
from lgs_runtime.api.callers import Caller, authenticated, sealing, user_of
from lgs_runtime.api.http.limits import parse_body
from lgs_runtime.api.http.problems import headers_of, problem, status_of
from lgs_runtime.api.http.responses import JsonResponse
from lgs_runtime.api.http.sse import encode_event, event_stream
from lgs_runtime.api.protocols.stream_v2_bodies import ProtocolCommand, Subscribe, Unsubscribe
from lgs_runtime.api.protocols.stream_v2_commands import answer, failure, success
from lgs_runtime.api.schemas import bodies, operations
from lgs_runtime.errors import InvalidRequest, NotFound, RuntimeFault
from lgs_runtime.model import Scope
from lgs_runtime.runs.stream_v2 import made, protocol_events
from lgs_runtime.services import Services
from lgs_runtime.storage.actor import act_for
from lgs_runtime.streams.delivery import DeliveryBarrier, Listener
from lgs_runtime.streams.events import StreamEvent
from lgs_runtime.streams.json_encoding import encode
from lgs_runtime.streams.stream_v2 import Subscription, Wire, number_by_id

routes = router("Streaming")
SERVER_ERROR = 1011
REFUSED = 4000
"""Base of the close codes of refusals: the HTTP status is added to it, because browsers can't read the status
of a refused handshake."""


@routes.post(
    "/threads/{thread_id}/commands",
    response_model=dict[str, Any],
    responses=operations.refusals(429),
    openapi_extra=operations.PRIORITY,
)
async def command(
    parts: Parts, request: Request, thread_id: bodies.PathId, body: ProtocolCommand
) -> Response:
    """One command of protocol v2. If it can't be done, the answer has the protocol's error code."""
    return JsonResponse(await answer(parts, request, thread_id, body))


@routes.post(
    "/threads/{thread_id}/stream/events",
    response_class=operations.EventStream,
    openapi_extra=operations.LAST_EVENT_ID,
)
async def stream_events(
    parts: Parts, request: Request, thread_id: bodies.PathId, body: Subscribe
) -> Response:
    """The events of the thread's runs that this subscription wants: those still kept, with numbers above
    `since`, and those to come. A thread that there is not yet is waited for: clients open the stream first
    and then ask for the run that makes the thread."""
    since = _since(request) if body.since is None else body.since
    events = await _subscribed(parts, request, thread_id, body.subscription(), since)
    return event_stream(_encoded(events), {})


def _since(request: Request) -> int:
    """The number of the last event that the client has. `Last-Event-ID` gives it as the number or as the
    event's id. Raises `InvalidRequest`."""
    given = request.headers.get("last-event-id") or "-1"
    since = number_by_id(given)
    if since is None:
        try:
            since = int(given)
        except ValueError:
            rule = "must be the number or the event_id of an event, or -1"
            raise InvalidRequest(f"Last-Event-ID: {given!r}: {rule}") from None
    return since


async def _subscribed(
    services: Services,
    request: Request,
    thread_id: str,
    wanted: Subscription,
    since: int,
    *,
    beside: Listener | None = None,
) -> AsyncGenerator[Wire, None]:
    """The events that the subscription wants, of a thread that the caller may read or that does not exist
    yet. `beside`: this subscription's place among those of its connection. Raises `NotFound` for another
    user's thread."""
    scope = await Caller(request).threads("read", thread_id)
    events = _wanted(services, thread_id, wanted, since, beside)
    try:
        await services.storage.threads.get(thread_id)
    except NotFound:
        return _early(services, thread_id, scope, events)
    if scope is not None:
        await services.storage.threads.get(thread_id, scope)
    return events


async def _encoded(source: AsyncGenerator[Wire, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(source) as events:
        async for event in events:
            yield encode_event(StreamEvent(str(event["seq"]), event["method"], encode(event)))


async def _early(
    services: Services, thread_id: str, scope: Scope | None, source: AsyncGenerator[Wire, None]
) -> AsyncGenerator[Wire, None]:
    """The events of `source`, from when the thread exists within the scope."""
    async with aclosing(source) as events:
        await made(services, thread_id, scope)
        async for event in events:
            yield event


async def _wanted(
    services: Services, thread_id: str, wanted: Subscription, since: int, beside: Listener | None
) -> AsyncGenerator[Wire, None]:
    source = protocol_events(services, thread_id, since, watches=wanted.watches, beside=beside)
    async with aclosing(source) as events:
        async for event in events:
            if wanted.wants(event):
                yield event


@routes.websocket("/threads/{thread_id}/stream/events")
async def socket(websocket: WebSocket, thread_id: str) -> None:
    """Commands and events of one thread over one connection."""
    services: Services = websocket.app.state.services
    # The handshake is a request; it authenticates all that follows.
    request = Request({**websocket.scope, "type": "http", "method": "GET"}, _no_body)
    try:
        [thread_id] = bodies.checked(_Address, {"thread_id": thread_id}).model_dump().values()
        await authenticated(request)
        user = user_of(request)
        act_for(user.identity if user else None)
        await sealing(request)
    except RuntimeFault as fault:
        await _refuse(websocket, fault)
        return
    await websocket.accept()
    connection = _Connection(services, websocket, request, thread_id)
    with suppress(WebSocketDisconnect):
        try:
            await connection.serve()
        finally:
            await connection.close()


async def _no_body() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


class _Address(bodies.Body):
    thread_id: bodies.Id


async def _refuse(websocket: WebSocket, fault: RuntimeFault) -> None:
    status = status_of(fault)
    if "websocket.http.response" in websocket.scope.get("extensions", {}):
        await websocket.send_denial_response(problem(status, str(fault), headers_of(fault)))
        return
    await websocket.accept()
    await websocket.close(REFUSED + status, str(fault)[:100])


class _Connection:
    """One WebSocket: answers commands one after the other, and serves its subscriptions concurrently."""

    def __init__(self, services: Services, websocket: WebSocket, request: Request, thread_id: str) -> None:
        self._services = services
        self._websocket = websocket
        self._request = request
        self._thread_id = thread_id
        self._sending = asyncio.Lock()
        self._following: dict[str, asyncio.Task[None]] = {}
        self._barrier = DeliveryBarrier()

    async def serve(self) -> None:
        """Answers commands until the client disconnects."""
        limit = self._services.settings.max_body_bytes
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            raw = (message.get("text") or "").encode() or message.get("bytes") or b""
            given: Any = None
            try:
                if len(raw) > limit:
                    raise InvalidRequest(f"message: {len(raw)} bytes: must be at most {limit} bytes")
                given = parse_body(raw)
                if not isinstance(given, dict):
                    raise InvalidRequest("message: must be a JSON object with id, method and params")
                said = await self._answer(bodies.checked(ProtocolCommand, given))
            except InvalidRequest as wrong:
                command_id = given.get("id") if isinstance(given, dict) else None
                said = failure(command_id, "invalid_argument", str(wrong))
            except RuntimeFault as fault:
                said = failure(given.get("id"), "unknown_error", str(fault))
            await self._send(said)

    async def close(self) -> None:
        """Ends the subscriptions."""
        tasks = list(self._following.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(self, given: ProtocolCommand) -> Any:
        if given.method == "subscription.subscribe":
            return await self._subscribe(given)
        if given.method == "subscription.unsubscribe":
            return self._unsubscribe(given)
        if given.method == "subscription.reconnect":
            # Subscriptions end with their socket: the client makes new ones, with `since`.
            return success(given.id, {"restored": False})
        return await answer(self._services, self._request, self._thread_id, given)

    async def _subscribe(self, given: ProtocolCommand) -> Any:
        wanted = bodies.checked(Subscribe, given.params)
        name, since = str(uuid4()), -1 if wanted.since is None else wanted.since
        events = await _subscribed(
            self._services,
            self._request,
            self._thread_id,
            wanted.subscription(),
            since,
            beside=(listener := Listener(self._barrier)),
        )
        self._following[name] = asyncio.create_task(self._send_events(events, listener))
        return success(given.id, {"subscription_id": name})

    def _unsubscribe(self, given: ProtocolCommand) -> Any:
        name = bodies.checked(Unsubscribe, given.params).subscription_id
        known = self._following.pop(name, None)
        if known is None:
            return failure(
                given.id, "no_such_subscription", f"subscription {name}: is not of this connection"
            )
        known.cancel()
        return success(given.id, {})

    async def _send_events(self, source: AsyncGenerator[Wire, None], listener: Listener) -> None:
        """Sends the events of the subscription that `listener` represents. Closes the connection when the
        thread is deleted, or can't be followed."""
        # A client that has gone is noticed by `serve`.
        with self._barrier.joined(listener), suppress(WebSocketDisconnect, RuntimeError):
            try:
                async with aclosing(source) as events:
                    async for event in events:
                        await self._send(event)
            except RuntimeFault as fault:
                await self._send(failure(None, "unknown_error", str(fault)))
                await self._websocket.close(SERVER_ERROR)
            else:
                await self._websocket.close()

    async def _send(self, message: Any) -> None:
        async with self._sending:
            await self._websocket.send_text(encode(message).decode())
