"""CORS: which web pages may call the API. Any, unless `http.cors` of `langgraph.json` says otherwise.

No cookies by default: clients send their credentials explicitly in a header, and no browser adds them.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Message, Receive, Scope, Send

from lgs_runtime.graphs.http_section import Cors

VARIES = (b"vary", b"Origin")


class CorsMiddleware(CORSMiddleware):
    """Starlette's middleware with a shortcut for requests without an `Origin` header, which are nearly
    all."""

    async def simple_response(
        self, scope: Scope, receive: Receive, send: Send, request_headers: Headers
    ) -> None:
        """Answers a request that is no preflight."""
        if "origin" in request_headers:
            await super().simple_response(scope, receive, send, request_headers)
            return

        async def varying(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.get("headers", ())
                if any(name.lower() == b"vary" for name, _ in headers):
                    await self.send(message, send, request_headers)
                    return
                message = {**message, "headers": [*headers, VARIES]}
            await send(message)

        await self.app(scope, receive, varying)


def cors_middleware(cors: Cors, *, private_network: bool = False) -> Middleware:
    """Answers preflight requests, and marks every answer as readable for the origins that `cors` allows.
    `private_network`: pages from the internet may call the API although it listens in a private network."""
    return Middleware(
        CorsMiddleware,
        allow_origins=cors.allow_origins,
        allow_methods=cors.allow_methods,
        allow_headers=cors.allow_headers,
        allow_credentials=cors.allow_credentials,
        allow_origin_regex=cors.allow_origin_regex,
        expose_headers=cors.expose_headers,
        max_age=cors.max_age,
        allow_private_network=private_network,
    )
