"""A store around another: seals the values of items, but not their namespaces and keys."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final

from langgraph.store.base import BaseStore, Item, Op, PutOp, Result, SearchOp

from lgs_runtime.encryption.cipher import Cipher
from lgs_runtime.store.sweeping import Sweeps

EQUALITY: Final = frozenset({"$eq", "$ne"})


class EncryptedStore(BaseStore):
    """A store behind a cipher, for the event loop in which it is made. Its methods also raise
    `EncryptionFailed`; then nothing is stored."""

    def __init__(self, inner: BaseStore, cipher: Cipher) -> None:
        self._inner = inner
        self._cipher = cipher
        self._loop = asyncio.get_running_loop()
        self.supports_ttl = inner.supports_ttl or isinstance(inner, Sweeps)
        self.ttl_config = inner.ttl_config

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """See `abatch`; call it from threads other than the event loop's."""
        return asyncio.run_coroutine_threadsafe(self.abatch(ops), self._loop).result()

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """See LangGraph's interface."""
        sealed = await asyncio.gather(*map(self._sealed, ops))
        results = await self._inner.abatch(sealed)
        return await asyncio.gather(*map(self._opened, results))

    async def sweep_ttl(self) -> int:
        """Deletes expired items; returns how many."""
        return await self._inner.sweep_ttl() if isinstance(self._inner, Sweeps) else 0

    async def _sealed(self, op: Op) -> Op:
        if isinstance(op, PutOp) and op.value is not None:
            return op._replace(value=await self._cipher.seal("store", "value", op.value))
        if isinstance(op, SearchOp) and op.filter:
            return op._replace(filter=await self._filter(op.filter))
        return op

    async def _filter(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The filter with its values sealed, so that it matches what is stored. Values that are compared for
        order can't be sealed."""
        plain = {name: value for name, value in given.items() if not _is_operation(value)}
        sealed = dict(await self._cipher.wanted("store", "value", plain) or {})
        for name, value in given.items():
            if name in plain:
                continue
            sealed[name] = {
                operator: (await self._cipher.wanted("store", "value", {name: wanted}) or {})[name]
                if operator in EQUALITY
                else wanted
                for operator, wanted in value.items()
            }
        return sealed

    async def _opened(self, result: Result) -> Result:
        if isinstance(result, Item):
            result.value = await self._cipher.open("store", "value", result.value)
        elif isinstance(result, list):
            for item in result:
                await self._opened(item) if isinstance(item, Item) else None
        return result


def _is_operation(value: Any) -> bool:
    return isinstance(value, dict) and any(str(name).startswith("$") for name in value)
