"""Keeps the operations of one batch from failing each other. LangGraph's stores batch what is asked at one
moment, and answer one failure to all of it.

The callers are independent runs, and the failure may come from one caller's own embedding provider: so
operations that failed together are tried again separately. A database that is away fails for all.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Sequence
from typing import Final

from langgraph.store.base import Op, PutOp, SearchOp
from langgraph.store.base.batch import AsyncBatchedBaseStore, _dedupe_ops

from lgs_runtime.errors import StorageUnavailable
from lgs_runtime.event_loop import RAISED, is_cancelled

CLOSED: Final = "the store is closed: the replica stops"
_Request = tuple[asyncio.Future[object], Op]


class IsolatedBatchStore(AsyncBatchedBaseStore):
    """A store in which the failure of one operation does not fail others. The code that opened it must close
    it (`aclose`)."""

    _closed = False

    def _ensure_task(self) -> None:
        """Called by LangGraph to start the work on operations. Raises `StorageUnavailable` once closed."""
        if self._closed:
            raise StorageUnavailable(CLOSED)
        if self._task is None or self._task.done():
            self._task = self._loop.create_task(_serve(self._aqueue, weakref.ref(self)), name="store-batches")

    async def aclose(self) -> None:
        """Ends the work. Unanswered operations, and all later ones, fail with `StorageUnavailable`."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        while not self._aqueue.empty():
            _fail([self._aqueue.get_nowait()], StorageUnavailable(CLOSED))


async def _serve(queue: asyncio.Queue[_Request], store: weakref.ReferenceType[IsolatedBatchStore]) -> None:
    while True:
        requests = [await queue.get()]
        while not queue.empty():
            requests.append(queue.get_nowait())
        serving = store()
        if serving is None:
            return
        try:
            await _answer(serving, [each for each in requests if not each[0].done()])
        except asyncio.CancelledError:
            _fail(requests, StorageUnavailable(CLOSED))
            raise
        del serving


def _fail(requests: Sequence[_Request], failed: BaseException) -> None:
    for future, _ in requests:
        if not future.done():
            future.set_exception(failed)


async def _answer(store: IsolatedBatchStore, asked: Sequence[_Request]) -> None:
    if not asked:
        return
    places, ops = _dedupe_ops([op for _, op in asked])
    try:
        results = await store.abatch(ops)
    except RAISED as failed:  # it reaches the callers
        if is_cancelled(failed):
            raise
        if len(asked) > 1 and not isinstance(failed, StorageUnavailable):
            plain = [each for each in asked if not _may_embed(each[1])]
            apart = [[each] for each in asked if _may_embed(each[1])]
            # Without the failing ones a group works; else each caller gets its own failure.
            groups = [plain, *apart] if apart else [[each] for each in asked]
            await asyncio.gather(*(_answer(store, group) for group in groups))
            return
        _fail(asked, failed)
        return
    for number, (future, _) in enumerate(asked):
        if not future.done():
            future.set_result(results[number if places is None else places[number]])


def _may_embed(op: Op) -> bool:
    """Whether the operation may call an embedding provider."""
    if isinstance(op, PutOp):
        return op.value is not None and op.index is not False
    return isinstance(op, SearchOp) and op.query is not None
