"""Encryption handlers for tests, of the standard library alone: keys of the tenant that the context names and
of the field that is sealed, the same ciphertext for the same text, and an account of what the handlers were
called with."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

from langgraph_sdk import Encryption, EncryptionContext

PREFIX = "enc:"
LEFT_PLAIN = frozenset({"owner"})
"""Keys that searches may name."""

encryption = Encryption()
told: list[tuple[str, str | None, str | None, dict[str, Any]]] = []
"""(what, model, field, metadata) of each call."""
broken: set[tuple[str, str | None, str | None]] = set()
"""(what, model, field) of calls that raise."""


class KeyServiceDown(Exception):
    """What a handler raises when it can't reach its keys."""


def _key(ctx: EncryptionContext) -> bytes:
    tenant = ctx.metadata.get("tenant", "everybody")
    return hashlib.sha256(f"tenant {tenant}: {ctx.model}.{ctx.field}".encode()).digest()


def _stream(key: bytes, nonce: bytes, data: bytes) -> bytes:
    blocks = (
        hashlib.sha256(key + nonce + block.to_bytes(4, "big")).digest()
        for block in range(len(data) // 32 + 1)
    )
    return bytes(a ^ b for a, b in zip(data, b"".join(blocks), strict=False))


def lock(ctx: EncryptionContext, data: bytes) -> bytes:
    """Sealed bytes: a nonce that is made of them, and what it makes of them."""
    nonce = hmac.digest(_key(ctx), data, "sha256")[:16]
    return nonce + _stream(_key(ctx), nonce, data)


def unlock(ctx: EncryptionContext, sealed: bytes) -> bytes:
    """The bytes. Raises `ValueError` for those of another key."""
    data = _stream(_key(ctx), sealed[:16], sealed[16:])
    if hmac.digest(_key(ctx), data, "sha256")[:16] != sealed[:16]:
        raise ValueError(f"not of this tenant: {data!r}")
    return data


def _tell(what: str, ctx: EncryptionContext) -> None:
    told.append((what, ctx.model, ctx.field, dict(ctx.metadata)))
    if (what, ctx.model, ctx.field) in broken:
        raise KeyServiceDown("SECRET-IN-THE-MESSAGE")


@encryption.encrypt.blob
async def encrypt_blob(ctx: EncryptionContext, blob: bytes) -> bytes:
    _tell("encrypt.blob", ctx)
    return lock(ctx, blob)


@encryption.decrypt.blob
async def decrypt_blob(ctx: EncryptionContext, blob: bytes) -> bytes:
    _tell("decrypt.blob", ctx)
    return unlock(ctx, blob)


@encryption.encrypt.json
async def encrypt_json(ctx: EncryptionContext, data: dict[str, Any]) -> dict[str, Any]:
    _tell("encrypt.json", ctx)
    return {name: value if name in LEFT_PLAIN else _sealed(ctx, value) for name, value in data.items()}


@encryption.decrypt.json
async def decrypt_json(ctx: EncryptionContext, data: dict[str, Any]) -> dict[str, Any]:
    _tell("decrypt.json", ctx)
    return {name: _opened(ctx, value) for name, value in data.items()}


def _sealed(ctx: EncryptionContext, value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return PREFIX + base64.b64encode(lock(ctx, text.encode())).decode()


def _opened(ctx: EncryptionContext, value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith(PREFIX):
        return value
    return json.loads(unlock(ctx, base64.b64decode(value.removeprefix(PREFIX))))
