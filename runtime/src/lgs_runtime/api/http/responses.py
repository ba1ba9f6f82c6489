"""The JSON response class of every route, errors included."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse

from lgs_runtime.streams.json_encoding import encode


class JsonResponse(JSONResponse):
    """A JSON response encoded by orjson."""

    def render(self, content: Any) -> bytes:
        """The body's bytes."""
        return encode(content)
