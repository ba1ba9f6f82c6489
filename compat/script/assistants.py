"""Assistants: those made for the graphs, and one of our own from its making to its end."""

from __future__ import annotations

from compat.player import Player

ONE = "/assistants/{assistant_id}"


async def play(player: Player, graphs: list[str]) -> None:
    """All twelve operations."""
    found = await player.call("POST /assistants/search", body={"limit": 100}, unordered=True)
    for assistant in found or []:
        player.names.call(assistant["assistant_id"], f"assistant {assistant['graph_id']}")
    await player.call("POST /assistants/search", "by graph", body={"graph_id": graphs[0]})
    await player.call("POST /assistants/search", "of no graph", body={"graph_id": "none"})
    await player.call(
        "POST /assistants/search", "selected", body={"graph_id": graphs[0], "select": ["graph_id", "name"]}
    )
    await player.call("POST /assistants/count", body={})
    await player.call("POST /assistants/count", "by graph", body={"graph_id": graphs[0]})
    for graph in graphs:
        await describe(player, graph)
    await player.call(f"GET {ONE}", "nobody's", assistant_id="5f7f2f3e-0000-4000-8000-000000000000")
    await player.call(f"GET {ONE}/schemas", "nobody's", assistant_id="5f7f2f3e-0000-4000-8000-000000000000")
    await player.call(f"GET {ONE}", "no id", assistant_id="nosuchgraph")
    await player.call("POST /assistants", "unknown graph", body={"graph_id": "nosuchgraph"})
    await player.call("POST /assistants", "no graph", body={})
    await own(player, graphs[0])


async def describe(player: Player, graph: str) -> None:
    """What a graph says of itself."""
    found = await player.quiet("POST /assistants/search", {"graph_id": graph})
    if not found:
        return
    ident = found[-1]["assistant_id"]
    await player.call(f"GET {ONE}", graph, assistant_id=ident)
    await player.call(f"GET {ONE}/schemas", graph, assistant_id=ident)
    await player.call(f"GET {ONE}/graph", graph, assistant_id=ident)
    await player.call(f"GET {ONE}/graph", f"{graph} x-ray", query={"xray": "true"}, assistant_id=ident)
    await player.call(f"GET {ONE}/graph", f"{graph} x-ray 1", query={"xray": 1}, assistant_id=ident)
    await player.call(f"GET {ONE}/subgraphs", graph, assistant_id=ident)
    await player.call(
        f"GET {ONE}/subgraphs", f"{graph} recursive", query={"recurse": "true"}, assistant_id=ident
    )
    parts = await player.quiet(f"GET {ONE}/subgraphs", assistant_id=ident)
    for name in list(parts or {"none": 1})[:2]:
        await player.call(
            f"GET {ONE}/subgraphs/{{namespace}}", f"{graph} {name}", assistant_id=ident, namespace=name
        )


async def own(player: Player, graph: str) -> None:
    """An assistant from its making to its end."""
    made = await player.call(
        "POST /assistants",
        body={"graph_id": graph, "name": "own", "metadata": {"a": 1}, "description": "d"},
    )
    if not made:
        return
    ident = player.names.call(made["assistant_id"], "own")
    again = {"graph_id": graph, "assistant_id": ident}
    await player.call("POST /assistants", "again", body=again)
    await player.call("POST /assistants", "again, nothing done", body={**again, "if_exists": "do_nothing"})
    await player.call(f"PATCH {ONE}", body={"name": "renamed", "metadata": {"b": 2}}, assistant_id=ident)
    await player.call(
        f"PATCH {ONE}", "configured", body={"config": {"configurable": {"x": 1}}}, assistant_id=ident
    )
    await player.call(f"POST {ONE}/versions", body={}, assistant_id=ident)
    await player.call(f"POST {ONE}/latest", body={"version": 1}, assistant_id=ident)
    await player.call(f"POST {ONE}/latest", "no such version", body={"version": 99}, assistant_id=ident)
    await player.call("POST /assistants/search", "by metadata", body={"metadata": {"a": 1}})
    await player.call(f"DELETE {ONE}", assistant_id=ident)
    await player.call(f"GET {ONE}", "deleted", assistant_id=ident)
    await player.call(f"DELETE {ONE}", "deleted", assistant_id=ident)
