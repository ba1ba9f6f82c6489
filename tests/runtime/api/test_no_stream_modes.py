"""A run that names no stream mode has the one that a run without the field has, however it is asked for."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

RUN: dict[str, Any] = {"assistant_id": "steps", "input": {}, "stream_mode": []}
CRON = {**RUN, "schedule": "0 0 1 1 *"}


async def named_modes(http: httpx.AsyncClient, path: str, body: Any) -> list[str]:
    """The modes in the answer to a run, or to a cron, that was asked for."""
    answered = (await http.post(path, json=body)).raise_for_status().json()
    made = answered[0] if isinstance(answered, list) else answered
    if "run_id" in made:
        await http.get(f"/threads/{made['thread_id']}/runs/{made['run_id']}/join")
        return list(made["kwargs"]["stream_mode"])
    await http.delete(f"/runs/crons/{made['cron_id']}")
    return list(made["payload"].get("stream_mode", ["values"]))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/threads/{thread}/runs", RUN),
        ("/runs", RUN),
        ("/runs/batch", [RUN]),
        ("/threads/{thread}/runs/crons", CRON),
        ("/runs/crons", CRON),
    ],
)
async def test_no_mode_is_the_usual_one(url: str, path: str, body: Any) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        thread_id = (await http.post("/threads", json={})).json()["thread_id"]

        assert await named_modes(http, path.format(thread=thread_id), body) == ["values"]


@pytest.mark.parametrize("path", ["/threads/{thread}/runs/stream", "/runs/stream"])
async def test_a_stream_of_no_mode_has_the_values(url: str, path: str) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        thread_id = (await http.post("/threads", json={})).json()["thread_id"]

        answered = await http.post(path.format(thread=thread_id), json=RUN)

    names = {line for line in answered.text.splitlines() if line.startswith("event: ")}
    assert names == {"event: metadata", "event: values"}
