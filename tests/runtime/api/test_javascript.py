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

PACKAGE = "@langchain/langgraph-sdk"
VERSION = "2.0.0"
OLDEST_NODE = 20
INSTALL = ("install", "--no-audit", "--no-fund", "--no-save", "--ignore-scripts", "--prefix")


def node_version() -> int:
    """The major version of Node; 0 where there is none."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return 0
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    return int(said.strip().lstrip("v").partition(".")[0])


@pytest.fixture(scope="session")
def packages() -> Path:
    """The folder that has the client."""
    if node_version() < OLDEST_NODE:
        reason = f"needs Node {OLDEST_NODE} and npm"
        if os.environ.get("LGS_TEST_JAVASCRIPT") == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "lgs-javascript" / VERSION
    if not (folder / "node_modules" / PACKAGE / "package.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text("{}")
        subprocess.run(["npm", *INSTALL, str(folder), f"{PACKAGE}@{VERSION}"], cwd=folder, check=True)
    return folder / "node_modules"


@pytest.fixture
async def seen(url: str, packages: Path) -> dict[str, Any]:
    """What the client saw."""
    script = Path(__file__).with_name("javascript.cjs")
    process = await asyncio.create_subprocess_exec(
        "node",
        str(script),
        url,
        env={**os.environ, "NODE_PATH": str(packages)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        told, wrong = await asyncio.wait_for(process.communicate(), 120)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, wrong.decode()
    return dict(json.loads(told))


async def test_the_javascript_client_is_served_like_the_python_one(seen: dict[str, Any]) -> None:
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
