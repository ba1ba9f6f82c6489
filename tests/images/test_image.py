"""An image is built for real and serves a run, on a read-only root file system. Needs docker and
`LGS_TEST_BASE_IMAGE`, a runtime image (`tools/images/build.sh` makes one); skipped without.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

BASE = os.environ.get("LGS_TEST_BASE_IMAGE", "")
EXAMPLE = Path(__file__).parents[2] / "examples" / "support" / "graph.py"
PROJECT = """
[project]
name = "tried"
version = "1"
dependencies = ["iniconfig"]
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
"""
ASK = """
import json, urllib.request
def ask(path, body):
    headers = {"content-type": "application/json"}
    request = urllib.request.Request("http://127.0.0.1:8000" + path, json.dumps(body).encode(), headers)
    return json.load(urllib.request.urlopen(request, timeout=60))
work = {"messages": [], "steps": 2, "step_seconds": 0.1}
print(json.dumps(ask("/runs/wait", {"assistant_id": "agent", "input": work})["done"]))
"""
pytestmark = pytest.mark.skipif(not BASE, reason="LGS_TEST_BASE_IMAGE names no runtime image")


def run(*command: str, check: bool = True) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout.strip()


@pytest.fixture
def application(tmp_path: Path) -> Path:
    package = tmp_path / "app" / "src" / "tried"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    shutil.copy(EXAMPLE, package / "graph.py")
    (package / "graph.py").write_text((package / "graph.py").read_text() + "\nimport iniconfig  # noqa\n")
    (tmp_path / "app" / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "app" / ".env").write_text("OPENAI_API_KEY=sk-hush\n")
    document = {"dependencies": ["."], "graphs": {"agent": "./src/tried/graph.py:graph"}, "env": ".env"}
    (tmp_path / "app" / "langgraph.json").write_text(json.dumps(document))
    return tmp_path / "app"


@pytest.fixture
def image(application: Path) -> Iterator[str]:
    name = f"lgs-tried:{uuid.uuid4().hex[:8]}"
    lgs = (sys.executable, "-m", "lgs_operator.cli")
    run(*lgs, "build", str(application), "--builder", "docker", "--base-image", BASE, "--tag", name)
    yield name
    run("docker", "rmi", "--force", name, check=False)


def test_it_serves_a_run_as_nobody_on_a_file_system_that_can_not_be_written(image: str) -> None:
    writable = ("--tmpfs", "/tmp", "--tmpfs", "/app/.lgs:uid=10001")
    container = run("docker", "run", "--detach", "--read-only", *writable, image)
    try:
        late = time.monotonic() + 60
        while "replica.serves" not in run("docker", "logs", container) + _errors(container):
            assert time.monotonic() < late, _errors(container)
            time.sleep(0.5)

        assert json.loads(run("docker", "exec", container, "python", "-c", ASK)) == [0, 1]
        assert run("docker", "exec", container, "id", "-u") == "10001"
        assert "hush" not in run("docker", "exec", container, "sh", "-c", "cat /app/.env; true")
        assert run("docker", "exec", container, "sh", "-c", "python -m pip --version; true") == ""
    finally:
        run("docker", "rm", "--force", container)


def _errors(container: str) -> str:
    return subprocess.run(("docker", "logs", container), capture_output=True, text=True, check=False).stderr
