"""What the README shows works as it is shown."""

from __future__ import annotations

import asyncio
import re
import shutil
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from lgs_crds import load, parse
from support.up import Up

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_it_says_what_the_project_is_then_the_commands_then_what_came_of_one() -> None:
    first = README.split("## ", 1)[0]

    assert re.search(r"A server for \[LangGraph\].*and\na Kubernetes operator", first)
    assert len(first.splitlines()) <= 8
    order = [
        "    make demo ",
        "    make test ",
        "<!-- centre: begin -->",
        "## One manifest",
        "## On a laptop",
    ]
    assert [README.count(each) for each in order] == [1] * len(order)
    assert sorted(order, key=README.index) == order


@pytest.mark.parametrize("on_cluster", [False, True], ids=["laptop", "cluster"])
def test_its_manifest_is_valid_here_and_on_a_cluster(on_cluster: bool) -> None:
    (manifest,) = blocks("yaml")

    assert parse(yaml.safe_load(manifest), on_cluster=on_cluster).metadata.name == "support"


def test_the_example_that_it_names_is_valid() -> None:
    assert load(ROOT / "examples/support/service.yaml").metadata.name == "support"


async def test_its_client_code_runs_against_lgs_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "support"
    shutil.copytree(ROOT / "examples/support", folder, ignore=shutil.ignore_patterns(".lgs", "__pycache__"))
    up = Up(folder)
    (code,) = blocks("python")
    code = code.replace("http://127.0.0.1:8123", f"http://127.0.0.1:{up.port}")

    try:
        await asyncio.to_thread(up.serve)
        names: dict[str, Any] = {}
        exec(f"async def shown():\n{textwrap.indent(code, '    ')}", names)
        await names["shown"]()
    finally:
        await asyncio.to_thread(up.end)

    assert "Looked into it in 3 steps." in capsys.readouterr().out
