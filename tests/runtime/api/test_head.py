"""HEAD is answered wherever GET is, with the headers of GET and no body; not where the answer is a stream."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from langgraph_sdk.client import LangGraphClient

from lgs_runtime.api.app import ROUTES
from lgs_runtime.api.http import long_poll

STREAMS = {
    "/threads/{thread_id}/stream",
    "/threads/{thread_id}/export",
    "/threads/{thread_id}/runs/{run_id}/stream",
}
CHANGING = ("/metrics", "/cache/stats")
"""What counts: the body is another each time, and may have another length."""


def paths() -> list[str]:
    routes = [route for _, router in ROUTES for route in router.routes]
    return sorted({route.path for route in routes if isinstance(route, APIRoute) and "GET" in route.methods})


@pytest.fixture
async def ids(client: LangGraphClient) -> dict[str, str]:
    thread = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread, "steps", input={})
    (run,) = await client.runs.list(thread)
    return {"thread_id": thread, "run_id": run["run_id"], "assistant_id": run["assistant_id"]}


async def test_head_tells_what_get_would(
    url: str, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # An answer that is sent in pieces, as it has come late, has no length.
    monkeypatch.setattr(long_poll, "WHOLE_WITHIN_SECONDS", 120)
    differences: list[Any] = []
    seen: set[int] = set()
    async with httpx.AsyncClient(base_url=url) as http:
        for path in paths():
            if path in STREAMS:
                continue
            given = path
            for name, value in ids.items():
                given = given.replace(f"{{{name}}}", value)
            got, head = await http.get(given), await http.head(given)
            ignored = {"date", "content-length"} if path in CHANGING else {"date"}
            told = [
                (answer.status_code, {k: v for k, v in answer.headers.items() if k not in ignored})
                for answer in (got, head)
            ]
            seen.add(got.status_code)
            if told[0] != told[1] or head.content:
                differences.append((path, told, head.content))

    assert differences == []
    assert 200 in seen


@pytest.mark.parametrize("path", sorted(STREAMS))
async def test_head_begins_no_stream(url: str, ids: dict[str, str], path: str) -> None:
    async with httpx.AsyncClient(base_url=url) as http:
        answer = await http.head(path.format(**ids))

    assert answer.status_code == 405
