"""LangGraph's stores take what is asked of them in one moment together, and give one failure to all of it.

Those who ask are runs that know nothing of each other, and what fails may be one's own embedding provider: so
what failed together is asked again apart. A database that is away fails for all.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Sequence

from langgraph.store.base import Op, PutOp, SearchOp
from langgraph.store.base.batch import AsyncBatchedBaseStore, _dedupe_ops

from lgs_runtime.errors import StorageUnavailable

_Asked = tuple[asyncio.Future[object], Op]


class FailsAlone(AsyncBatchedBaseStore):
    """A store in which one's failure is nobody else's."""

    def _ensure_task(self) -> None:
        """Where LangGraph begins the work on what is asked."""
        if self._task is None or self._task.done():
            self._task = self._loop.create_task(_serve(self._aqueue, weakref.ref(self)))


async def _serve(queue: asyncio.Queue[_Asked], store: weakref.ReferenceType[FailsAlone]) -> None:
    while True:
        asked = [await queue.get()]
        while not queue.empty():
            asked.append(queue.get_nowait())
        serving = store()
        if serving is None:
            return
        await _answer(serving, [each for each in asked if not each[0].done()])
        del serving


async def _answer(store: FailsAlone, asked: Sequence[_Asked]) -> None:
    if not asked:
        return
    places, ops = _dedupe_ops([op for _, op in asked])
    try:
        results = await store.abatch(ops)
    except Exception as failed:  # noqa: BLE001 - it reaches who asked
        if len(asked) > 1 and not isinstance(failed, StorageUnavailable):
            plain = [each for each in asked if not _may_embed(each[1])]
            apart = [[each] for each in asked if _may_embed(each[1])]
            # Together with nobody who fails it works; else each learns his own failure.
            groups = [plain, *apart] if apart else [[each] for each in asked]
            await asyncio.gather(*(_answer(store, group) for group in groups))
            return
        for future, _ in asked:
            if not future.done():
                future.set_exception(failed)
        return
    for number, (future, _) in enumerate(asked):
        if not future.done():
            future.set_result(results[number if places is None else places[number]])


def _may_embed(op: Op) -> bool:
    """Whether an embedding provider may be asked for it."""
    if isinstance(op, PutOp):
        return op.value is not None and op.index is not False
    return isinstance(op, SearchOp) and op.query is not None
