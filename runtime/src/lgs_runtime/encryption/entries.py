"""Shared entries of the response cache, sealed: Redis gets sealed bytes only. An entry that can't be sealed
is not shared, and one that can't be opened counts as missing: that costs a hit, never a run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import structlog

from lgs_runtime.cache.shared import SharedCache, Stored, Through, Written
from lgs_runtime.encryption.cipher import Cipher
from lgs_runtime.errors import EncryptionFailed

log = structlog.get_logger(__name__)


class EncryptedEntries(Through):
    """A `SharedCache` behind a cipher. Keys and leases are digests and tokens, and stay plain."""

    def __init__(self, inner: SharedCache, cipher: Cipher) -> None:
        super().__init__(inner)
        self._cipher = cipher

    async def read(self, keys: Sequence[str]) -> Sequence[Stored | None]:
        return await asyncio.gather(*map(self._opened, await self._inner.read(keys)))

    async def read_or_lease(self, key: str, token: str, seconds: float) -> Stored | bool:
        answer = await self._inner.read_or_lease(key, token, seconds)
        if not isinstance(answer, Stored):
            return answer
        # An entry that can't be opened is computed again by the holder of the lease, and overwritten.
        return await self._opened(answer) or await self._inner.lease(key, token, seconds)

    async def write(self, entries: Sequence[Written]) -> None:
        sealed = await asyncio.gather(*map(self._sealed, entries))
        if kept := [entry for entry in sealed if entry is not None]:
            await self._inner.write(kept)

    async def write_leased(self, entry: Written, token: str) -> bool:
        sealed = await self._sealed(entry)
        if sealed is None:
            await self._inner.release(entry.key, token)
            return True
        return await self._inner.write_leased(sealed, token)

    async def _sealed(self, entry: Written) -> Written | None:
        try:
            return replace(entry, raw=await self._cipher.seal_bytes("cache", "value", entry.raw))
        except EncryptionFailed as failed:
            log.warning("cache.not_sealed", reason=str(failed))
            return None

    async def _opened(self, kept: Stored | None) -> Stored | None:
        try:
            if kept is None:
                return None
            return replace(kept, raw=await self._cipher.open_bytes("cache", "value", kept.raw))
        except EncryptionFailed as failed:
            log.warning("cache.not_opened", reason=str(failed))
            return None
