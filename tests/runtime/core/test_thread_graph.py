"""Opening a thread's graph where no replica has it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lgs_runtime.errors import NotFound
from lgs_runtime.threads import thread_graph


async def test_whether_another_replica_has_a_graph_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def takes(graph_id: str) -> bool:
        asked.append(graph_id)
        return False

    @asynccontextmanager
    async def missing(graph_id: str, *_: Any, **__: Any) -> Any:
        raise NotFound("graph", graph_id)
        yield

    async def configurations(*_: Any) -> list[dict[str, Any]]:
        return [{}]

    monkeypatch.setattr(thread_graph, "_configurations", configurations)
    services = SimpleNamespace(
        graphs=SimpleNamespace(ids=["agent"], varies=lambda _: True, open=missing),
        storage=SimpleNamespace(queue=SimpleNamespace(takes=takes)),
    )

    with pytest.raises(NotFound):
        async with thread_graph.open_for(cast(Any, services), cast(Any, None), "gone", {"configurable": {}}):
            pass

    assert asked == ["gone"]
