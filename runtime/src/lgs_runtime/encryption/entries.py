"""Shared entries of the response cache over others: Redis gets sealed bytes only. What can't be sealed is not
shared, and what can't be opened counts as missing: that costs a hit, never a run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from lgs_runtime.cache.shared import SharedCache
from lgs_runtime.encryption.cipher import Cipher
from lgs_runtime.errors import EncryptionFailed

log = structlog.get_logger(__name__)


class EncryptedEntries:
    """`SharedCache`, behind a cipher."""

    def __init__(self, inner: SharedCache, cipher: Cipher) -> None:
        self._inner = inner
        self._cipher = cipher

    async def read(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        return await asyncio.gather(*map(self._opened, await self._inner.read(keys)))

    async def write(self, entries: Sequence[tuple[str, bytes, float]]) -> None:
        sealed = await asyncio.gather(*(self._sealed(raw) for _, raw, _ in entries))
        kept = [
            (key, raw, ttl) for (key, _, ttl), raw in zip(entries, sealed, strict=True) if raw is not None
        ]
        if kept:
            await self._inner.write(kept)

    async def forget(self, prefixes: Sequence[str]) -> None:
        await self._inner.forget(prefixes)

    async def close(self) -> None:
        await self._inner.close()

    async def _sealed(self, raw: bytes) -> bytes | None:
        try:
            return await self._cipher.seal_bytes("cache", "value", raw)
        except EncryptionFailed as failed:
            log.warning("cache.not_sealed", reason=str(failed))
            return None

    async def _opened(self, kept: bytes | None) -> bytes | None:
        try:
            return None if kept is None else await self._cipher.open_bytes("cache", "value", kept)
        except EncryptionFailed as failed:
            log.warning("cache.not_opened", reason=str(failed))
            return None
