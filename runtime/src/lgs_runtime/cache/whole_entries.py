"""Guards the integrity of shared entries: each is written with a digest of its key and its bytes, which is
checked when it is read.

Redis is shared ground. A single bit changed by another client, a module or faulty memory could make another
value of the same type; and an entry copied to another key would answer another question, encrypted or not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from lgs_runtime.cache.shared import Stored, Through, Written

DIGEST_BYTES: Final = 8


class WholeEntries(Through):
    """A `SharedCache` in which an entry that is not what was written under its key has no bytes."""

    async def read(self, keys: Sequence[str]) -> Sequence[Stored | None]:
        found = await self._inner.read(keys)
        return [_checked(key, entry) for key, entry in zip(keys, found, strict=True)]

    async def read_or_lease(self, key: str, token: str, seconds: float) -> Stored | bool:
        answer = await self._inner.read_or_lease(key, token, seconds)
        return (_checked(key, answer) or False) if isinstance(answer, Stored) else answer

    async def write(self, entries: Sequence[Written]) -> None:
        await self._inner.write([*map(_with_digest, entries)])

    async def write_leased(self, entry: Written, token: str) -> bool:
        return await self._inner.write_leased(_with_digest(entry), token)


def _with_digest(entry: Written) -> Written:
    return replace(entry, raw=_digest(entry.key, entry.raw) + entry.raw)


def _checked(key: str, entry: Stored | None) -> Stored | None:
    if entry is None:
        return None
    digest, raw = entry.raw[:DIGEST_BYTES], entry.raw[DIGEST_BYTES:]
    return replace(entry, raw=raw if digest == _digest(key, raw) else b"")


def _digest(key: str, raw: bytes) -> bytes:
    found = hashlib.blake2b(key.encode(), digest_size=DIGEST_BYTES)
    found.update(raw)
    return found.digest()
