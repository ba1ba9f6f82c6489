"""One server as the script sees it: requests that leave an answer under operation and variant."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import httpx
from compat.normalise import Names, plain

STREAM_SECONDS = 60.0


@dataclass(frozen=True)
class Answer:
    """What a server said, made comparable, and as it came."""

    operation: str
    variant: str
    value: Any


@dataclass
class Player:
    """Plays at one server. The ids that its answers brought are known by the names the script gave them."""

    client: httpx.AsyncClient
    answers: list[Answer] = field(default_factory=list)
    names: Names = field(default_factory=Names)
    prefix: str = ""

    async def call(
        self,
        operation: str,
        variant: str = "",
        body: Any = None,
        query: dict[str, Any] | None = None,
        unordered: bool = False,
        **path: str,
    ) -> Any:
        """Sends one request and keeps the answer; returns its JSON, or None."""
        method, url = address(operation, path)
        try:
            response = await self.client.request(method, url, json=body, params=query)
        except httpx.HTTPError as error:
            self.keep(operation, variant, {"failed": type(error).__name__})
            return None
        value = decoded(response)
        self.keep(
            operation,
            variant,
            {"status": response.status_code, "type": kind(response), "body": value},
            unordered,
        )
        return value if response.is_success else None

    async def quiet(self, operation: str, body: Any = None, **path: str) -> Any:
        """A request that only prepares something: nothing is kept."""
        method, url = address(operation, path)
        try:
            response = await self.client.request(method, url, json=body)
        except httpx.HTTPError:
            return None
        return decoded(response) if response.is_success else None

    async def stream(
        self,
        operation: str,
        variant: str = "",
        body: Any = None,
        query: dict[str, Any] | None = None,
        **path: str,
    ) -> list[list[Any]]:
        """Sends one request and keeps the events of its stream, to its end or for a bounded time."""
        method, url = address(operation, path)
        events: list[list[Any]] = []
        headers: dict[str, Any] = {}

        async def read() -> None:
            async with self.client.stream(method, url, json=body, params=query) as response:
                headers["status"], headers["type"] = response.status_code, kind(response)
                if kind(response) != "text/event-stream":
                    await response.aread()
                    headers["body"] = decoded(response)
                    return
                async for event in sse(response):
                    events.append(event)

        try:
            await asyncio.wait_for(read(), STREAM_SECONDS)
        except TimeoutError:
            headers["ended"] = False
        except httpx.HTTPError as error:
            headers["failed"] = type(error).__name__
        self.keep(operation, variant, {**headers, "events": events})
        return events

    def keep(self, operation: str, variant: str, value: Any, unordered: bool = False) -> None:
        """Files an answer."""
        name = " · ".join(part for part in (self.prefix, variant) if part)
        self.answers.append(Answer(operation, name, plain(value, self.names, unordered)))


def address(operation: str, path: dict[str, str]) -> tuple[str, str]:
    """The method and the path of an operation whose placeholders are filled in."""
    method, _, url = operation.partition(" ")
    return method, url.format(**path)


def kind(response: httpx.Response) -> str:
    """The media type, without its parameters."""
    return response.headers.get("content-type", "").partition(";")[0]


def decoded(response: httpx.Response) -> Any:
    """JSON as it says, other text only by its kind: pages and metrics are each server's own."""
    if kind(response) != "application/json":
        return None
    try:
        return json.loads(response.content or b"null")
    except ValueError:
        return {"not json": response.text[:200]}


async def sse(response: httpx.Response) -> Any:
    """The events of a stream as [event, data]; comments (heartbeats) are left out."""
    event, data = "message", []
    async for line in response.aiter_lines():
        if line.startswith("event:"):
            event = line[6:].strip()
        elif line.startswith("data:"):
            data.append(line[5:].strip())
        elif not line:
            if data or event != "message":
                text = "\n".join(data)
                try:
                    yield [event, json.loads(text) if text else None]
                except ValueError:
                    yield [event, text]
            event, data = "message", []
