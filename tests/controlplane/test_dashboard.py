"""`lgs dashboard` against a real API server, which here has no nodes that a port could be forwarded to."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from typing import Any

import aiohttp
import pytest

from controlplane.manifests import service
from controlplane.operators import Operators
from controlplane.story import Story
from support.waiting import until

pytestmark = pytest.mark.controlplane


async def test_services_are_shown_by_ones_own_rights_and_what_can_not_be_reached_is_said(
    story: Story, operators: Operators
) -> None:
    await operators.start()
    story.apply(service())
    options = ("--namespace", story.namespace, "--operator-namespace", story.namespace, "--port", "0")
    command = (sys.executable, "-m", "lgs_operator.cli", "dashboard", *options)
    env = os.environ | {"KUBECONFIG": str(story.plane.kubeconfig)}
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=env)
    try:
        assert process.stdout is not None
        said = re.match(rb"the page: (http://127\.0\.0\.1:\d+/)\n", await process.stdout.readline())
        assert said is not None
        known: dict[str, Any] = {}

        async def shown() -> bool:
            nonlocal known
            async with (
                aiohttp.ClientSession() as client,
                client.get(f"{said[1].decode()}api/services") as answer,
            ):
                known = await answer.json()
            return known["services"][0]["values"]["desired"] is not None

        await until(shown, lambda: f"not shown: {known}")
        assert [each["name"] for each in known["services"]] == ["support"]
        assert "no pod of an operator was found" in known["trouble"]
        async with (
            aiohttp.ClientSession() as client,
            client.get(f"{said[1].decode()}runtime/{story.namespace}/support/threads/a") as answer,
        ):
            assert answer.status == 502
    finally:
        process.send_signal(signal.SIGINT)
    assert await process.wait() == 0
