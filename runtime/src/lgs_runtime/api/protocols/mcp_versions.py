"""The MCP version of a request, and the capabilities of its client. Pure functions.

Up to 2025-11-25, client and server agree on a version by `initialize`. From 2026-07-28 on, each request
declares its version and the client's capabilities itself, under `params._meta`, and repeats in headers what
proxies route by. Source: https://modelcontextprotocol.io/specification/2026-07-28/basic
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final, Protocol

from lgs_runtime.api.protocols.jsonrpc import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    Call,
    RpcError,
)

BY_HANDSHAKE: Final = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
BY_REQUEST: Final = ("2026-07-28",)
VERSIONS: Final = (*BY_REQUEST, *BY_HANDSHAKE)
"""The supported versions, latest first."""
HEADER_MISMATCH, UNSUPPORTED_VERSION = -32020, -32022
STATUS: Final[Mapping[int, int]] = {
    PARSE_ERROR: 400,
    INVALID_REQUEST: 400,
    INVALID_PARAMS: 400,
    HEADER_MISMATCH: 400,
    UNSUPPORTED_VERSION: 400,
    METHOD_NOT_FOUND: 404,
}
"""The HTTP status by error code, from 2026-07-28 on; before, JSON-RPC errors came with 200."""
META: Final = "io.modelcontextprotocol/"
VERSION_HEADER, METHOD_HEADER, NAME_HEADER = "mcp-protocol-version", "mcp-method", "mcp-name"
ENCODED: Final = re.compile(r"=\?base64\?(.*)\?=")


class Headers(Protocol):
    """Headers of a request, which may come more than once."""

    def getlist(self, key: str) -> list[str]:
        """All values of a header."""


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What was negotiated for a request. `per_request`: the request declares its version itself; `asks`: its
    client can show a form to a person."""

    per_request: bool = False
    asks: bool = False

    def result(self, result: Mapping[str, Any], *, cached: bool = False) -> dict[str, Any]:
        """A complete result. `cached`: it is of a kind that clients may cache; it then says that they must
        not."""
        if not self.per_request:
            return dict(result)
        kept = {"ttlMs": 0, "cacheScope": "private"} if cached else {}
        return {"resultType": "complete", **kept, **result, "_meta": {f"{META}serverInfo": server_info()}}

    def status(self, error: RpcError) -> int:
        """The HTTP status of an error."""
        if self.per_request or error.code == UNSUPPORTED_VERSION:
            return STATUS.get(error.code, 200)
        return 200


def server_info() -> dict[str, str]:
    """The name and version of this server."""
    return {"name": "LangGraphService", "version": version("lgs-runtime")}


def is_per_request(params: Mapping[str, Any], headers: Headers) -> bool:
    """Whether a request uses 2026-07-28 or later. One that names an unknown version counts as such, so that
    it is answered with the list of versions."""
    named = headers.getlist(VERSION_HEADER)
    return f"{META}protocolVersion" in _meta(params) or (bool(named) and named[0] not in BY_HANDSHAKE)


def negotiate(call: Call, headers: Headers) -> Negotiated:
    """Negotiates the version and capabilities of a call. Raises `RpcError` if it contradicts itself, or its
    version is not supported."""
    if not is_per_request(call.params, headers):
        return Negotiated()
    meta = _meta(call.params)
    named = headers.getlist(VERSION_HEADER)
    declared = meta.get(f"{META}protocolVersion")
    if declared is None and named and named[0] not in VERSIONS:
        raise _unsupported(named[0])
    for key in ("protocolVersion", "clientCapabilities"):
        if f"{META}{key}" not in meta:
            raise RpcError(INVALID_PARAMS, f"params._meta: must have {META}{key}")
    if not isinstance(declared, str):
        raise RpcError(INVALID_PARAMS, f"params._meta.{META}protocolVersion: {declared!r}: must be a text")
    _same(VERSION_HEADER, headers, declared)
    _same(METHOD_HEADER, headers, call.method)
    if call.method == "tools/call" and isinstance(call.params.get("name"), str):
        _same(NAME_HEADER, headers, call.params["name"])
    if declared not in BY_REQUEST:
        raise _unsupported(declared)
    return Negotiated(per_request=True, asks=_fills_forms(meta[f"{META}clientCapabilities"]))


def _meta(params: Mapping[str, Any]) -> Mapping[str, Any]:
    meta = params.get("_meta")
    return meta if isinstance(meta, Mapping) else {}


def _same(name: str, headers: Headers, declared: str) -> None:
    """Raises `RpcError` for a header that differs from the body: proxies that route by it would be misled."""
    given = headers.getlist(name)
    if len(given) != 1 or _decoded(given[0]) != declared:
        said = given[0] if given else "missing"
        raise RpcError(
            HEADER_MISMATCH, f"{name}: {said!r}: must be given once, and be {declared!r} as the body says"
        )


def _decoded(text: str) -> str | None:
    """The decoded value of a header, which may be wrapped in base64; None if that is broken."""
    wrapped = ENCODED.fullmatch(text)
    if wrapped is None:
        return text
    try:
        return base64.b64decode(wrapped[1], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def _unsupported(asked: str) -> RpcError:
    said = f"{VERSION_HEADER}: {asked!r}: must be one of {', '.join(VERSIONS)}"
    return RpcError(UNSUPPORTED_VERSION, said, {"supported": list(VERSIONS), "requested": asked})


def _fills_forms(capabilities: Any) -> bool:
    """Whether a client can show a form to a person: it says so, or it declares elicitation without naming a
    kind."""
    asks = capabilities.get("elicitation") if isinstance(capabilities, Mapping) else None
    return isinstance(asks, Mapping) and ("form" in asks or not asks)
