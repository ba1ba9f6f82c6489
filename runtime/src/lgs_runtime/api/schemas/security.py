"""The security schemes of the OpenAPI description: how a caller authenticates."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from lgs_runtime.auth.access_control import KEY_HEADER, AccessControl
from lgs_runtime.model import Json


def describe_security(app: FastAPI, access: AccessControl, said: Json) -> None:
    """Adds to the description at `/openapi.json` the API key, if one is needed, and `securitySchemes` and
    `security` from `auth.openapi` of `langgraph.json`."""
    describe = app.openapi

    def described() -> dict[str, Any]:
        document = describe()
        schemes = dict((said.get("components") or said).get("securitySchemes") or {})
        if access.keys is not None:
            schemes["apiKey"] = {"type": "apiKey", "in": "header", "name": KEY_HEADER}
        if schemes:
            document.setdefault("components", {})["securitySchemes"] = schemes
            document["security"] = said.get("security") or [{name: [] for name in schemes}]
        return document

    app.openapi = described  # type: ignore[method-assign]
