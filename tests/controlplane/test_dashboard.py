"""`lgs dashboard` against a real API server, which here has no nodes that a port could be forwarded to."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from controlplane.manifests import service
from controlplane.operators import Operators
from controlplane.story import Story
from lgs_operator.dashboard.server import serve_loopback
from lgs_operator.kube.kinds import SERVICE_OF_OURS
from support.waiting import until

pytestmark = pytest.mark.controlplane
KUBECTL = """#!/bin/sh
echo "$$ $*" >> '{log}'
echo "Forwarding from 127.0.0.1:{port} -> 8000"
exec sleep 600
"""


class Page:
    """What the command answers to a browser."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def json(self, path: str) -> Any:
        async with aiohttp.ClientSession() as client, client.get(self._url + path) as answer:
            return await answer.json()

    async def of_api(self, path: str, **headers: str) -> tuple[int, str | None]:
        """The status of what the API of a service is asked, and which service answered."""
        url = f"{self._url}runtime/{path}"
        async with aiohttp.ClientSession() as client, client.get(url, headers=headers) as answer:
            return answer.status, answer.headers.get("Lgs-Service")


@asynccontextmanager
async def dashboard(story: Story, **env: str) -> AsyncIterator[Page]:
    """The command, as a user begins and ends it."""
    options = ("--namespace", story.namespace, "--operator-namespace", story.namespace, "--port", "0")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "lgs_operator.cli", "dashboard", *options),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"KUBECONFIG": str(story.plane.kubeconfig)} | env,
    )
    try:
        assert process.stdout is not None
        said = re.match(rb"the page: (http://127\.0\.0\.1:\d+/)\n", await process.stdout.readline())
        assert said is not None
        yield Page(said[1].decode())
    finally:
        process.send_signal(signal.SIGINT)
        code = await process.wait()
    assert code == 0


async def test_services_are_shown_by_ones_own_rights_and_what_can_not_be_reached_is_said(
    story: Story, operators: Operators
) -> None:
    await operators.start()
    story.apply(service())
    async with dashboard(story) as page:
        known: dict[str, Any] = {}

        async def shown() -> bool:
            nonlocal known
            known = await page.json("api/services")
            is_told = "no pod of an operator was found" in known["trouble"]
            return is_told and any(each["values"]["desired"] is not None for each in known["services"])

        await until(shown, lambda: f"not shown: {known}")
        assert [each["name"] for each in known["services"]] == ["support"]
        assert (await page.of_api(f"{story.namespace}/support/threads/a"))[0] == 502


async def test_a_service_that_is_deleted_goes_and_one_that_is_made_again_is_another(
    story: Story, tmp_path: Path
) -> None:
    """Its kubectl leads to a server of the test's. No token of the first one reaches the second."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({})

    api, path = web.Application(), f"{story.namespace}/support/threads/a"
    api.router.add_get("/{path:.*}", answer)
    async with AsyncExitStack() as stack:
        port, log, kubectl = await serve_loopback(stack, api, 0), tmp_path / "ways", tmp_path / "kubectl"
        kubectl.write_text(KUBECTL.format(log=log, port=port))
        kubectl.chmod(0o755)
        story.apply(service())
        first = (await story.get(SERVICE_OF_OURS))["metadata"]["uid"]
        async with dashboard(story, PATH=f"{tmp_path}:{os.environ['PATH']}") as page:
            assert await page.of_api(path) == (200, first)

            story.plane.run("delete", "lgs", "support", "-n", story.namespace)
            await until(lambda: _shows(page, 0), "the service that is gone is shown")
            assert (await page.of_api(path))[0] == 404

            story.apply(service())
            again = (await story.get(SERVICE_OF_OURS))["metadata"]["uid"]
            await until(lambda: _shows(page, 1), "the service that is there again is not shown")
            assert await page.of_api(path, **{"Lgs-Service": first, "X-Api-Key": "mine"}) == (409, again)
            assert await page.of_api(path, **{"Lgs-Service": again, "X-Api-Key": "mine"}) == (200, again)

    ways = [int(line.split()[0]) for line in log.read_text().splitlines()]
    assert len(ways) == 2
    for each in ways:
        await until(lambda pid=each: _has_ended(pid), f"process {each} goes on")


def _has_ended(pid: int) -> bool:
    """Also one that nobody has waited for yet."""
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


async def _shows(page: Page, count: int) -> bool:
    return len((await page.json("api/services"))["services"]) == count
