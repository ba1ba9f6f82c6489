"""The answer in JSON that every route gives, errors included."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse

from lgs_runtime.streams.json_encoding import encode


class JsonResponse(JSONResponse):
    """An answer encoded by orjson."""

    def render(self, content: Any) -> bytes:
        """The body's bytes."""
        return encode(content)
