"""Which keys a caller wants to be used: the metadata of `langgraph_sdk.EncryptionContext`.

A request has one (`X-Encryption-Context`, or the application's `@encryption.context`). It is kept beside
what is sealed, in the clear, so that it is opened with the same later; a run carries it to the replica that
executes it. It is in a context variable, so that each task has its own.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

import orjson

from lgs_runtime.errors import InvalidRequest

HEADER: Final = "x-encryption-context"
_context: ContextVar[Mapping[str, Any] | None] = ContextVar("lgs_encryption_context", default=None)
_sealed_will_do: ContextVar[bool] = ContextVar("lgs_sealed_will_do", default=False)


def encryption_context() -> dict[str, Any]:
    """What this task seals with; empty: nobody said anything."""
    return dict(_context.get() or {})


def encrypt_with(context: Mapping[str, Any] | None) -> None:
    """From here on this task seals with `context`."""
    _context.set(context)


def sealed_will_do() -> bool:
    """Whether this task takes records that can't be opened as they are kept."""
    return _sealed_will_do.get()


@contextmanager
def taking_sealed() -> Iterator[None]:
    """What can't be opened inside is given out as it is kept: what is to be deleted needs no key."""
    token = _sealed_will_do.set(True)
    try:
        yield
    finally:
        _sealed_will_do.reset(token)


def context_in(header: str | None) -> dict[str, Any]:
    """What the header says: an object as base64 of JSON. Raises `InvalidRequest`."""
    if not header:
        return {}
    try:
        found = orjson.loads(base64.b64decode(header, validate=True))
    except (binascii.Error, ValueError):
        found = None
    if not isinstance(found, dict):
        raise InvalidRequest(f"X-Encryption-Context: {header!r:.80}: must be a JSON object in base64")
    return found
