"""The stock JavaScript client against a chat-bot as one writes it first, with and without a store.

Needs Node and npm. The client's package is installed once into the user's cache folder. Without Node the test
is skipped, unless `LGS_TEST_JAVASCRIPT=required` says, as `make test` does, that there must be one.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.ports import PATIENCE_SECONDS

PACKAGE = "@langchain/langgraph-sdk"
STOCK = (f"{PACKAGE}@2.0.0",)
STREAMS = (f"{PACKAGE}@1.15.0", "@langchain/core@1.4.0", "ws@8.18.3")
"""The newest client that has thread streams, what it needs beside it, and sockets for Nodes without."""
OLDEST_NODE = 20
INSTALL = ("install", "--no-audit", "--no-fund", "--no-save", "--ignore-scripts", "--prefix")


def node_version() -> int:
    """The major version of Node; 0 where there is none."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return 0
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    return int(said.strip().lstrip("v").partition(".")[0])


def installed(*packages: str) -> Path:
    """The folder that has these packages, the first of which is the client."""
    if node_version() < OLDEST_NODE:
        reason = f"needs Node {OLDEST_NODE} and npm"
        if os.environ.get("LGS_TEST_JAVASCRIPT") == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "lgs-javascript" / packages[0].rpartition("@")[2]
    names = [package.rpartition("@")[0] for package in packages]
    if not all((folder / "node_modules" / name / "package.json").is_file() for name in names):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text("{}")
        subprocess.run(["npm", *INSTALL, str(folder), *packages], cwd=folder, check=True)
    return folder / "node_modules"


async def seen_by(script: str, packages: Path, *arguments: str) -> dict[str, Any]:
    """What a script with the client saw."""
    process = await asyncio.create_subprocess_exec(
        "node",
        str(Path(__file__).with_name(script)),
        *arguments,
        env={**os.environ, "NODE_PATH": str(packages)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        told, wrong = await asyncio.wait_for(process.communicate(), PATIENCE_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, wrong.decode()
    return dict(json.loads(told))


async def test_the_javascript_client_is_served_like_the_python_one(url: str) -> None:
    seen = await seen_by("javascript.cjs", installed(*STOCK), url)

    chat, resume = seen["chat"], seen["resume"]

    assert {"values", "updates", "messages", "tasks", "checkpoints", "debug", "events"} <= set(chat["modes"])
    assert len(chat["tokens"]) > 1
    assert "".join(chat["tokens"]) == "You said: Who am I?"
    said = ["Hi, I am Ada.", "You said: Hi, I am Ada.", "Who am I?", "You said: Who am I?"]
    assert chat["messages"] == said
    assert chat["history"] == 6
    assert any(chat["found"])
    assert seen["remember"] == {
        "answer": "You are Ada.",
        "item": {"name": "Ada"},
        "found": ["age", "name"],
        "gone": None,
    }
    assert resume["rest"] == resume["whole"][resume["whole"].index(resume["at"]) + 1 :] != []
    assert seen["interrupt"] == {
        "next": ["ask"],
        "question": {"question": "which?"},
        "steps": ["first", "told this", "second"],
    }
    assert seen["cancel"] == {"status": "interrupted"}


@pytest.mark.parametrize("transport", ["sse", "websocket"])
async def test_the_javascript_client_streams_threads(url: str, transport: str) -> None:
    seen = await seen_by("javascript_v2.cjs", installed(*STREAMS), url, transport)

    assert seen["chat"]["run"] == "success"
    assert len(seen["chat"]["tokens"]) > 1
    assert "".join(seen["chat"]["tokens"]) == "You said: Hi, I am Ada."
    assert seen["chat"]["messages"] == ["Hi, I am Ada.", "You said: Hi, I am Ada."]
    assert seen["remember"] == {"told": "You are Ada.", "asked": "You are Ada."}
    assert seen["interrupt"] == {
        "asked": [{"question": "which?"}],
        "lives": ["running", "interrupted", "running", "completed"],
        "steps": ["first", "told this", "second"],
    }
    assert seen["cancel"]["lives"] == ["running", "failed"]
    assert (seen["cancel"]["interrupted"], seen["cancel"]["interrupts"]) == (False, 0)
    assert seen["cancel"]["next"] == ["first", "first", "second"]
