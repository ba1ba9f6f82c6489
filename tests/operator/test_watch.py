"""The stream of a watch, over a real connection: one that dies without an end is noticed by its silence, and
an object of any size is an event like all others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.informer import Informer
from lgs_operator.kube.kinds import POD
from support.ports import PATIENCE_SECONDS

NEVER = 3600.0


def pod(name: str, version: int, **annotations: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "team", "labels": {"group": "g"}, "annotations": annotations}
    return {"metadata": metadata | {"resourceVersion": str(version)}}


class Server:
    """An API server whose watches send the lines of `events`, those from the first version, from the next
    one and so on, and say nothing more. `begun` are the versions that they were to go on from."""

    def __init__(self, *events: list[bytes], first: int = 4) -> None:
        self.begun: list[str] = []
        self.lists = 0
        self._events = {str(version): pieces for version, pieces in enumerate(events, first)}

    def seen(self) -> list[str]:
        """The versions without those that a watch began with again, as it was cut before it came to one."""
        return [version for version, _ in groupby(self.begun)]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("watch") != "true":
            self.lists += 1
            return web.json_response({"items": [], "metadata": {"resourceVersion": "4"}})
        self.begun.append(request.query["resourceVersion"])
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in self._events.get(self.begun[-1], []):
            await response.write(piece)
        await asyncio.sleep(NEVER)
        return response

    @asynccontextmanager
    async def connected(self, folder: Path, idle_seconds: float) -> AsyncIterator[KubeClient]:
        app = web.Application()
        app.router.add_get("/{path:.*}", self.answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        config = {
            "current-context": "tests",
            "clusters": [{"name": "tests", "cluster": {"server": url}}],
            "users": [{"name": "tests", "user": {"token": "of-the-tests"}}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
        }
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(config))
        client = await KubeClient.connect(str(kubeconfig), idle_seconds)
        try:
            yield client
        finally:
            await client.close()
            await runner.cleanup()


def line(event: str, item: dict[str, Any]) -> bytes:
    return json.dumps({"type": event, "object": item}).encode() + b"\n"


async def test_a_watch_that_dies_without_an_end_goes_on_from_where_it_was(tmp_path: Path) -> None:
    server = Server([line("ADDED", pod("a", 5))], [line("ADDED", pod("b", 6))])
    came, seen = asyncio.Event(), list[str]()

    def changed(item: dict[str, Any]) -> None:
        seen.append(item["metadata"]["name"])
        if "b" in seen:
            came.set()

    async with server.connected(tmp_path, 2.0) as client:
        copy = Informer(
            client,
            POD,
            namespace="team",
            labels=None,
            changed=changed,
            group_label="group",
        )
        following = asyncio.create_task(copy.run())
        await asyncio.wait_for(came.wait(), PATIENCE_SECONDS)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    assert seen == ["a", "b"]
    assert (server.seen()[:2], server.lists) == (["4", "5"], 1)


async def test_an_object_of_any_size_is_an_event(tmp_path: Path) -> None:
    large = line("MODIFIED", pod("a", 5, much="x" * 1_000_000))
    cut = [large[:70_000], large[70_000:] + line("ADDED", pod("b", 6))]

    told: list[tuple[str, str]] = []
    async with (
        Server(cut).connected(tmp_path, NEVER) as client,
        aclosing(client.watch(POD, "team", "4")) as watch,  # type: ignore[type-var]
    ):
        async for event, item in watch:
            told.append((event, item["metadata"]["name"]))
            if len(told) == 2:
                break

    assert told == [("MODIFIED", "a"), ("ADDED", "b")]


async def test_what_is_larger_than_any_object_ends_the_watch(tmp_path: Path) -> None:
    async with Server([b"x" * 17_000_000]).connected(tmp_path, NEVER) as client:
        with pytest.raises(KubeError, match="longer than"):
            async for _ in client.watch(POD, "team", "4"):
                pass
