"""One graph's threads: runs on them, what is kept, questions and answers, changes by hand."""

from __future__ import annotations

from typing import Any

from compat.player import Player

T = "/threads/{thread_id}"
NOBODY = "5f7f2f3e-0000-4000-8000-000000000000"


async def thread(player: Player, name: str) -> str:
    """A new thread under a name of the script's."""
    made = await player.quiet("POST /threads", {"metadata": {"script": name}})
    return player.names.call((made or {}).get("thread_id", NOBODY), name)


async def play(player: Player, request: dict[str, Any], resume: list[Any]) -> None:
    """A conversation and all that can be asked of it."""
    made = await player.call("POST /threads", body={"metadata": {"script": player.prefix}})
    if not made:
        return
    ident = player.names.call(made["thread_id"], "thread")
    await player.call("POST /threads", "again", body={"thread_id": ident})
    await player.call(
        "POST /threads", "again, nothing done", body={"thread_id": ident, "if_exists": "do_nothing"}
    )
    await player.call(f"GET {T}", "new", thread_id=ident)
    await player.call(f"GET {T}/state", "new", thread_id=ident)
    await player.call(f"GET {T}/history", "new", thread_id=ident)
    await player.call(f"POST {T}/runs/wait", body=request, thread_id=ident)
    await read(player, ident, "after a run")
    for number, answer in enumerate(resume):
        answered = {**request, "input": None, "command": {"resume": answer}}
        await player.call(f"POST {T}/runs/wait", f"answer {number}", body=answered, thread_id=ident)
        await read(player, ident, f"after answer {number}")
    await player.call(f"POST {T}/runs/wait", "a second turn", body=request, thread_id=ident)
    await kept(player, ident)
    await steps(player, request)
    await refused(player, request)


async def read(player: Player, ident: str, when: str) -> None:
    """The thread, its state and its history."""
    await player.call(f"GET {T}", when, thread_id=ident)
    await player.call(f"GET {T}/state", when, thread_id=ident)
    await player.call(f"GET {T}/state", f"{when}, subgraphs", query={"subgraphs": "true"}, thread_id=ident)
    await player.call(f"GET {T}/history", when, thread_id=ident)
    await player.call(f"POST {T}/history", when, body={"limit": 3}, thread_id=ident)
    await player.call(f"GET {T}/runs", when, thread_id=ident)


async def kept(player: Player, ident: str) -> None:
    """Old checkpoints, changes by hand, copies, searches, the end."""
    history = await player.quiet(f"POST {T}/history", {"limit": 10}, thread_id=ident) or []
    if len(history) > 1:
        checkpoint = history[1]["checkpoint"]
        old = player.names.call(checkpoint["checkpoint_id"], "checkpoint")
        await player.call(f"GET {T}/state/{{checkpoint_id}}", thread_id=ident, checkpoint_id=old)
        await player.call(f"POST {T}/state/checkpoint", body={"checkpoint": checkpoint}, thread_id=ident)
        await player.call(
            f"POST {T}/history", "before", body={"before": checkpoint, "limit": 2}, thread_id=ident
        )
    values = (history[0]["values"] if history else None) or {}
    if isinstance(values, dict) and values:
        channel = next(iter(sorted(values)))
        change = {"values": {channel: values[channel]}}
        await player.call(f"POST {T}/state", body=change, thread_id=ident)
        await player.call(
            f"POST {T}/state", "as nobody", body={**change, "as_node": "nosuchnode"}, thread_id=ident
        )
        await player.call(f"GET {T}/state", "changed", thread_id=ident)
    await player.call(f"PATCH {T}", body={"metadata": {"more": True}}, thread_id=ident)
    await player.call("POST /threads/search", body={"metadata": {"more": True, "script": player.prefix}})
    await player.call("POST /threads/search", "by status", body={"status": "busy"})
    selected = {"metadata": {"more": True}, "select": ["thread_id", "status"]}
    await player.call("POST /threads/search", "selected", body=selected, unordered=True)
    await player.call("POST /threads/count", body={"metadata": {"more": True, "script": player.prefix}})
    await player.call(f"GET {T}/storage", thread_id=ident)
    copied = await player.call(f"POST {T}/copy", thread_id=ident)
    if copied:
        copy = player.names.call(copied["thread_id"], "copy")
        await read(player, copy, "copied")
        await player.call(
            "POST /threads/prune", "latest", body={"thread_ids": [copy], "strategy": "keep_latest"}
        )
        await player.call(f"GET {T}/history", "pruned", thread_id=copy)
        await player.call("POST /threads/prune", body={"thread_ids": [copy]})
    await player.call(f"DELETE {T}", thread_id=ident)
    await player.call(f"GET {T}", "deleted", thread_id=ident)
    await player.call(f"GET {T}/state", "deleted", thread_id=ident)


async def steps(player: Player, request: dict[str, Any]) -> None:
    """Stopped before every node, read, and continued."""
    ident = await thread(player, "stopping")
    await player.call(
        f"POST {T}/runs/wait", "stopped", body={**request, "interrupt_before": "*"}, thread_id=ident
    )
    await player.call(f"GET {T}", "stopped", thread_id=ident)
    await player.call(f"GET {T}/state", "stopped", thread_id=ident)
    await player.call(f"POST {T}/runs/wait", "gone on", body={**request, "input": None}, thread_id=ident)
    await player.call(f"GET {T}/state", "gone on", thread_id=ident)


async def refused(player: Player, request: dict[str, Any]) -> None:
    """What is not there, and what can't be."""
    await player.call(f"GET {T}", "nobody's", thread_id=NOBODY)
    await player.call(f"GET {T}", "no id", thread_id="nosuchthread")
    await player.call(f"GET {T}/state", "nobody's", thread_id=NOBODY)
    await player.call(f"POST {T}/runs/wait", "nobody's", body=request, thread_id=NOBODY)
    ident = await thread(player, "refusing")
    unknown = {**request, "assistant_id": "nosuchgraph"}
    await player.call(f"POST {T}/runs/wait", "unknown graph", body=unknown, thread_id=ident)
    await player.call(f"POST {T}/runs/wait", "no assistant", body={"input": {}}, thread_id=ident)
    await player.call(
        f"POST {T}/runs/wait", "bad mode", body={**request, "stream_mode": "none"}, thread_id=ident
    )
    await player.call(
        f"POST {T}/runs/wait",
        "without input",
        body={"assistant_id": request["assistant_id"]},
        thread_id=ident,
    )
