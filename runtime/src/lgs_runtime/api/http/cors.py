"""Which browsers may call the API: any, unless `http.cors` of `langgraph.json` says otherwise.

Without cookies by default: what proves who asks is sent in a header on purpose, not by the browser.
"""

from __future__ import annotations

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from lgs_runtime.graphs.http_section import Cors


def cors_middleware(cors: Cors) -> Middleware:
    """Answers preflight requests, and marks every answer as readable for the origins that `cors` allows."""
    return Middleware(
        CORSMiddleware,
        allow_origins=cors.allow_origins,
        allow_methods=cors.allow_methods,
        allow_headers=cors.allow_headers,
        allow_credentials=cors.allow_credentials,
        allow_origin_regex=cors.allow_origin_regex,
        expose_headers=cors.expose_headers,
        max_age=cors.max_age,
    )
