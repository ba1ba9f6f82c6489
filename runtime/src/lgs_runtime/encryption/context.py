"""The encryption context: which keys a caller wants to be used, the metadata of
`langgraph_sdk.EncryptionContext`.

A request has one (`X-Encryption-Context`, or the application's `@encryption.context`). It is stored beside
the sealed data, in the clear, so that the data is later opened with the same context; a run carries it to the
replica that executes it. It is held in a context variable, so each task has its own.
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
    """The context that this task seals with; empty if nobody set one."""
    return dict(_context.get() or {})


def encrypt_with(context: Mapping[str, Any] | None) -> None:
    """Makes this task seal with `context` from now on."""
    _context.set(context)


def sealed_will_do() -> bool:
    """Whether this task accepts records that can't be opened in their sealed form."""
    return _sealed_will_do.get()


@contextmanager
def taking_sealed() -> Iterator[None]:
    """Inside, records that can't be opened are returned sealed: deleting them needs no key."""
    token = _sealed_will_do.set(True)
    try:
        yield
    finally:
        _sealed_will_do.reset(token)


def context_in(header: str | None) -> dict[str, Any]:
    """Decodes the header: a JSON object in base64. Raises `InvalidRequest`."""
    if not header:
        return {}
    try:
        found = orjson.loads(base64.b64decode(header, validate=True))
    except (binascii.Error, ValueError):
        found = None
    if not isinstance(found, dict):
        raise InvalidRequest(f"X-Encryption-Context: {header!r:.80}: must be a JSON object in base64")
    return found
