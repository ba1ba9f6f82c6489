"""docs/deploying.md: each command is run as it stands there, on a small application. What would build an
image, push it or talk to a cluster is written down by a stand-in, but for what `kubectl` can do without one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lgs_operator.application.check import KEYS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "deploying.md").read_text("utf-8")
COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
RECORDED = '#!/bin/sh\necho "$(basename "$0") $*" >> "$RECORD"\n'


@pytest.fixture
def application(tmp_path: Path) -> Path:
    folder = tmp_path / "support"
    folder.mkdir()
    shutil.copy(ROOT / "examples" / "support" / "graph.py", folder)
    (folder / "langgraph.json").write_text(
        json.dumps({"graphs": {"agent": "./graph.py:graph"}, "env": ".env"})
    )
    (folder / ".env").write_text("OPENAI_API_KEY=sk-hush\n")
    return folder


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """The variables of a shell that has `lgs`, and stand-ins for what reaches out of this machine."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "lgs").write_text(f'#!/bin/sh\nexec {sys.executable} -m lgs_operator.cli "$@"\n')
    real = shutil.which("kubectl")
    create = f'[ "$1" = create ] && exec {real} "$@" --dry-run=client -o name\n' if real else ""
    (programs / "kubectl").write_text(RECORDED.replace("\n", f"\n{create}", 1))
    (programs / "docker").write_text(RECORDED)
    for program in programs.iterdir():
        program.chmod(0o755)
    return {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "RECORD": str(tmp_path / "record")}


def test_each_command_works_as_it_is_shown(application: Path, shell: dict[str, str], tmp_path: Path) -> None:
    # `lgs up` on a folder is what tests/local/test_up_application.py starts.
    shown = [command for command in COMMANDS if command != "lgs up"]
    assert {"lgs init", "lgs validate --cluster"} < set(shown)

    for command in shown:
        done = subprocess.run(
            command, shell=True, cwd=application, env=shell, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"

    record = (tmp_path / "record").read_text()
    assert "docker push registry.example.com/support:1.0.0" in record
    assert "kubectl apply -f service.yaml" in record
    assert (application / "Dockerfile.support").read_text().startswith("# Made by `lgs dockerfile`")
    assert "**/.env" in (application / ".dockerignore").read_text()


def test_every_key_of_the_public_schema_is_in_the_table() -> None:
    table = PAGE.split("### What each key does")[1].split("###")[0]

    told = set(
        re.findall(
            r"`(\w+)`", " ".join(row.split("|")[1] for row in table.splitlines() if row.startswith("|"))
        )
    )

    assert KEYS - {"$schema", "graphs", "_INTERNAL_docker_tag"} <= told
