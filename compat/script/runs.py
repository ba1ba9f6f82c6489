"""One graph's runs: in the background, streamed in every mode, without a thread, cancelled, protocol v2."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import httpx
from compat.player import Player, kind, sse
from compat.script.threads import NOBODY, T, thread

R = f"{T}/runs/{{run_id}}"
LISTEN_SECONDS = 3.0
MODES = (
    "values",
    "updates",
    "messages",
    "messages-tuple",
    "tasks",
    "checkpoints",
    "debug",
    "events",
    "custom",
)


async def play(player: Player, request: dict[str, Any]) -> None:
    """All ways to run."""
    await background(player, request)
    await streams(player, request)
    await stateless(player, request)
    await cancelled(player, request)
    await listened(player, request)


async def background(player: Player, request: dict[str, Any]) -> None:
    """A run of its own, joined, read and deleted."""
    ident = await thread(player, "background")
    run = await player.call(f"POST {T}/runs", body={**request, "metadata": {"m": 1}}, thread_id=ident)
    if not run:
        return
    run_id = player.names.call(run["run_id"], "run")
    await player.call(f"GET {R}/join", thread_id=ident, run_id=run_id)
    await player.call(f"GET {R}", thread_id=ident, run_id=run_id)
    await player.call(f"GET {T}/runs", "one", thread_id=ident)
    await player.call(f"GET {T}/runs", "by status", query={"status": "success"}, thread_id=ident)
    await player.stream(f"GET {R}/stream", "of an ended run", thread_id=ident, run_id=run_id)
    await player.call(f"POST {R}/cancel", "of an ended run", thread_id=ident, run_id=run_id)
    await player.call(f"DELETE {R}", thread_id=ident, run_id=run_id)
    await player.call(f"GET {R}", "deleted", thread_id=ident, run_id=run_id)
    await player.call(f"GET {R}", "nobody's", thread_id=ident, run_id=NOBODY)
    await player.call(f"GET {R}/join", "nobody's", thread_id=ident, run_id=NOBODY)


async def streams(player: Player, request: dict[str, Any]) -> None:
    """Every mode by itself, and with subgraphs; several at once; one that can be joined again."""
    for mode in MODES:
        ident = await thread(player, f"stream {mode}")
        await player.stream(f"POST {T}/runs/stream", mode, {**request, "stream_mode": mode}, thread_id=ident)
    for modes in (["values"], ["updates"], ["messages-tuple", "custom"], ["checkpoints", "tasks"]):
        ident = await thread(player, f"deep {modes[0]}")
        body = {**request, "stream_mode": modes, "stream_subgraphs": True}
        await player.stream(f"POST {T}/runs/stream", f"{' '.join(modes)}, subgraphs", body, thread_id=ident)
    ident = await thread(player, "resumable")
    body = {**request, "stream_mode": ["updates"], "stream_resumable": True}
    run = await player.quiet(f"POST {T}/runs", body, thread_id=ident)
    if run:
        run_id = player.names.call(run["run_id"], "resumable run")
        await player.quiet(f"GET {R}/join", thread_id=ident, run_id=run_id)
        await player.stream(
            f"GET {R}/stream", "from the start", query={"last_event_id": "-1"}, thread_id=ident, run_id=run_id
        )


async def stateless(player: Player, request: dict[str, Any]) -> None:
    """Without a thread."""
    await player.call("POST /runs/wait", body=request)
    await player.stream("POST /runs/stream", body={**request, "stream_mode": ["values", "updates"]})
    await player.call("POST /runs", body={**request, "after_seconds": 3600})
    await player.call("POST /runs/batch", body=[{**request, "after_seconds": 3600}] * 2)
    await player.call("POST /runs/wait", "unknown graph", body={**request, "assistant_id": "nosuchgraph"})


async def cancelled(player: Player, request: dict[str, Any]) -> None:
    """A run that is not due yet, cancelled in each way."""
    later = {**request, "after_seconds": 3600}
    for action in ("interrupt", "rollback"):
        ident = await thread(player, f"cancel {action}")
        run = await player.quiet(f"POST {T}/runs", later, thread_id=ident) or {}
        run_id = player.names.call(run.get("run_id", NOBODY), "late run")
        query = {"action": action, "wait": "true"}
        await player.call(f"POST {R}/cancel", action, query=query, thread_id=ident, run_id=run_id)
        await player.call(f"GET {R}", f"after {action}", thread_id=ident, run_id=run_id)
        await player.call(f"GET {T}", f"after {action}", thread_id=ident)
    ident = await thread(player, "cancel many")
    run = await player.quiet(f"POST {T}/runs", later, thread_id=ident) or {}
    many = {"thread_id": ident, "run_ids": [run.get("run_id", NOBODY)]}
    await player.call("POST /runs/cancel", body=many)
    await player.call(f"POST {R}/cancel", "nobody's", thread_id=ident, run_id=NOBODY)
    busy = await thread(player, "busy")
    await player.quiet(f"POST {T}/runs", later, thread_id=busy)
    await player.call(
        f"POST {T}/runs/wait", "on a busy thread", {**request, "multitask_strategy": "reject"}, thread_id=busy
    )
    await player.call(f"GET {T}/runs", "pending", query={"status": "pending"}, thread_id=busy)
    await player.quiet(f"DELETE {T}", thread_id=busy)


async def listened(player: Player, request: dict[str, Any]) -> None:
    """A thread's own stream, and protocol v2."""
    ident = await thread(player, "listened")
    listening = asyncio.create_task(_listen(player, ident))
    await asyncio.sleep(0.5)
    await player.quiet(f"POST {T}/runs/wait", request, thread_id=ident)
    await listening
    ident = await thread(player, "protocol")
    command = {"id": 1, "method": "run.start", "params": {k: request[k] for k in ("assistant_id", "input")}}
    asked = {"channels": ["values", "lifecycle"]}
    listening = asyncio.create_task(_events(player, ident, asked))
    await asyncio.sleep(0.5)
    await player.call(f"POST {T}/commands", "run.start", body=command, thread_id=ident)
    await player.call(f"POST {T}/commands", "unknown", body={"id": 2, "method": "nothing"}, thread_id=ident)
    await listening


async def _listen(player: Player, ident: str) -> None:
    """The thread's own stream."""
    request = player.client.build_request(
        "GET", f"/threads/{ident}/stream", params={"stream_modes": "lifecycle"}
    )
    player.keep(f"GET {T}/stream", "", await _within(player, request))


async def _events(player: Player, ident: str, asked: dict[str, Any]) -> None:
    """The events of protocol v2."""
    request = player.client.build_request("POST", f"/threads/{ident}/stream/events", json=asked)
    player.keep(f"POST {T}/stream/events", "", await _within(player, request))


async def _within(player: Player, request: httpx.Request) -> dict[str, Any]:
    """What a stream that does not end sent in some seconds."""
    found: dict[str, Any] = {"events": []}

    async def read() -> None:
        response = await player.client.send(request, stream=True)
        try:
            found.update(status=response.status_code, type=kind(response))
            async for event in sse(response):
                found["events"].append(event)
        finally:
            await response.aclose()

    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(read(), LISTEN_SECONDS)
    return found
