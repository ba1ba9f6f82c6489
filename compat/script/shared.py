"""What belongs to no graph alone: the store, crons, the system's own pages, the application's own routes."""

from __future__ import annotations

from typing import Any

from compat.catalogue import ROUTES
from compat.player import Player, decoded, kind
from compat.script.threads import NOBODY, thread

C = "/runs/crons/{cron_id}"


async def system(player: Player) -> None:
    """What is asked of any server."""
    await player.call("GET /ok")
    info = await player.quiet("GET /info")
    player.keep("GET /info", "flags", {key: (info or {}).get(key) for key in ("flags",)})
    for operation in ("GET /metrics", "GET /docs"):
        await player.call(operation)


async def store(player: Player) -> None:
    """Items from their making to their end, with filters and, where there is an index, by meaning."""
    items = "/store/items"
    for key, value in (("a", {"text": "red apples", "n": 1}), ("b", {"text": "green pears", "n": 2})):
        await player.call(
            f"PUT {items}", key, body={"namespace": ["compat", "x"], "key": key, "value": value}
        )
    await player.call(f"GET {items}", query={"namespace": "compat.x", "key": "a"})
    await player.call(f"GET {items}", "nobody's", query={"namespace": "compat.x", "key": "none"})
    await player.call(f"POST {items}/search", body={"namespace_prefix": ["compat"]}, unordered=True)
    await player.call(
        f"POST {items}/search", "filtered", body={"namespace_prefix": ["compat"], "filter": {"n": 2}}
    )
    more = {"namespace_prefix": ["compat"], "filter": {"n": {"$gt": 1}}}
    await player.call(f"POST {items}/search", "compared", body=more)
    await player.call(
        f"POST {items}/search",
        "by meaning",
        body={"namespace_prefix": ["compat"], "query": "red apples"},
        unordered=True,
    )
    await player.call("POST /store/namespaces", body={"prefix": ["compat"]})
    await player.call("POST /store/namespaces", "of one level", body={"prefix": ["compat"], "max_depth": 1})
    await player.call(f"PUT {items}", "bad namespace", body={"namespace": ["a.b"], "key": "k", "value": {}})
    await player.call(f"PUT {items}", "no value", body={"namespace": ["a"], "key": "k"})
    await player.call(f"DELETE {items}", body={"namespace": ["compat", "x"], "key": "a"})
    await player.call(f"DELETE {items}", "nobody's", body={"namespace": ["compat", "x"], "key": "none"})
    await player.quiet(f"DELETE {items}", {"namespace": ["compat", "x"], "key": "b"})


async def crons(player: Player, request: dict[str, Any]) -> None:
    """Crons that are never due while this is played."""
    yearly = {**request, "schedule": "0 0 29 2 *", "metadata": {"c": 1}}
    made = await player.call("POST /runs/crons", body=yearly)
    ident = await thread(player, "cron")
    await player.call("POST /threads/{thread_id}/runs/crons", body=yearly, thread_id=ident)
    await player.call("POST /runs/crons", "bad schedule", body={**request, "schedule": "never"})
    await player.call("POST /runs/crons/search", body={}, unordered=True)
    await player.call(
        "POST /runs/crons/search",
        "by assistant",
        body={"assistant_id": request["assistant_id"]},
        unordered=True,
    )
    await player.call("POST /runs/crons/count", body={})
    cron = player.names.call((made or {}).get("cron_id", NOBODY), "cron")
    await player.call(f"GET {C}", cron_id=cron)
    await player.call(f"PATCH {C}", body={"enabled": False}, cron_id=cron)
    await player.call(f"PATCH {C}", "rescheduled", body={"schedule": "0 1 29 2 *"}, cron_id=cron)
    await player.call(f"DELETE {C}", cron_id=cron)
    await player.call(f"GET {C}", "deleted", cron_id=cron)
    await player.call(f"DELETE {C}", "deleted", cron_id=cron)


async def routes(player: Player, paths: tuple[str, ...]) -> None:
    """The application's own pages: their status, kind, and JSON."""
    for path in paths:
        response = await player.client.get(path)
        said = {"status": response.status_code, "type": kind(response), "body": decoded(response)}
        player.keep(ROUTES, path, said)
