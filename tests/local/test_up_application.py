"""`lgs up` on a `langgraph.json`, without any manifest, in the application's own environment."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.up import Up

EXAMPLE = Path(__file__).parents[2] / "examples" / "support" / "graph.py"


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    folder = tmp_path / "application"
    folder.mkdir()
    shutil.copy(EXAMPLE, folder / "graph.py")
    (folder / "pyproject.toml").write_text('[project]\nname = "tried"\nversion = "1"\n')
    (folder / "langgraph.json").write_text(
        json.dumps({"graphs": {"agent": "./graph.py:graph"}, "env": ".env"})
    )
    it = Up(folder)
    it.manifest = folder / "langgraph.json"
    try:
        yield it
    finally:
        it.close()


def environment(folder: Path, *, with_ours: bool) -> Path:
    """An environment of its own with a module that no other has; `with_ours`: and what the tests have."""
    venv.create(folder / ".venv", with_pip=False)
    (packages,) = (folder / ".venv" / "lib").glob("python*/site-packages")
    (packages / "only_here.py").write_text("WORD = 'heard'\n")
    if with_ours:
        ours = sysconfig.get_path("purelib")
        (packages / "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
    return folder / ".venv" / "bin" / "python"


def test_a_langgraph_json_is_served_without_a_manifest_or_its_file_of_variables(up: Up) -> None:
    up.serve()
    thread, run = up.session(steps=1, step_seconds=0.1)
    up.wait(lambda: up.status(thread, run) == "success")

    assert up.said("tried serves on")
    assert up.said(r"langgraph\.json: env: \.env: no such file")


def test_studio_gets_in_with_one_warning_where_the_graphs_have_authentication(up: Up) -> None:
    auth = """
from langgraph_sdk import Auth

auth = Auth()

@auth.authenticate
async def who(authorization: str | None) -> str | None:
    return authorization
"""
    (up.manifest.parent / "auth.py").write_text(auth)
    content = {"graphs": {"agent": "./graph.py:graph"}, "auth": {"path": "./auth.py:auth"}}
    up.manifest.write_text(json.dumps(content))
    up.serve()

    studio = up.client.post("/threads", json={}, headers={"x-auth-scheme": "langsmith"})
    nobody = up.client.post("/threads", json={})
    assert (studio.status_code, nobody.status_code) == (200, 401)
    assert up.said("whoever says to be LangGraph Studio gets in without authentication")


def test_lgs_up_in_a_folder_serves_the_langgraph_json_there(up: Up) -> None:
    up.manifest = up.folder

    up.serve()

    assert up.said("tried serves on")


def test_a_change_of_the_langgraph_json_replaces_the_workers(up: Up) -> None:
    up.serve()
    before = set(up.workers())

    graphs = {"agent": "./graph.py:graph", "second": "./graph.py:graph"}
    up.write(up.manifest, json.dumps({"graphs": graphs}))
    up.wait(lambda: not before & set(up.workers()))

    found = up.client.post("/assistants/search", json={}).json()
    assert {assistant["graph_id"] for assistant in found} == {"agent", "second"}


def test_the_application_runs_in_its_own_environment_with_what_only_that_has(up: Up) -> None:
    environment(up.folder, with_ours=True)
    graph = up.folder / "graph.py"
    graph.write_text(
        "import only_here\n" + graph.read_text().replace("from __future__ import annotations", "")
    )

    up.serve()
    thread, run = up.session(steps=1, step_seconds=0.1)
    up.wait(lambda: up.status(thread, run) == "success")

    assert up.said(r"the application's own environment, .*application/\.venv")


def test_an_environment_without_the_runtime_is_told_with_the_command_that_installs_it(up: Up) -> None:
    python = environment(up.folder, with_ours=False)

    up.start()

    assert up.refused()
    assert up.said(rf"{python}.*has no lgs-runtime")
    assert up.said(rf"install .*{python}|{python} -m pip install")


def test_a_graph_that_fails_to_load_is_shown_with_its_traceback_its_log_and_how_to_install(up: Up) -> None:
    (up.folder / "requirements.txt").write_text("tavily\n")
    up.manifest.write_text(json.dumps({"graphs": {"agent": "./graph.py:graph"}, "dependencies": ["."]}))
    (up.folder / "pyproject.toml").unlink()
    (up.folder / "graph.py").write_text("import tavily_that_nobody_has\n")
    up.manifest = up.folder

    up.start()
    up.wait(lambda: up.said("waiting for a change"))

    assert up.said(r"from its log, .*/\.lgs/application/logs/application-1\.err")
    assert up.said("No module named 'tavily_that_nobody_has'")
    assert up.said(r"tavily_that_nobody_has is not installed in the application's environment; try:")
    assert up.said(rf"{up.folder}/\.venv.* pip install .*-r .*requirements\.txt\nand start lgs up again")


def test_a_folder_of_code_beside_a_langgraph_json_is_refused_and_not_left_unread(up: Up) -> None:
    up.more = ["--source", str(up.folder / "nowhere")]

    up.start()

    assert up.refused()
    assert up.said(rf"--source .*/nowhere is for a manifest; the code of {up.manifest} is in its own folder")


def test_a_langgraph_json_that_can_not_work_is_refused_with_all_its_problems(up: Up) -> None:
    up.manifest.write_text(json.dumps({"graphs": {"a": "./graph.ts:graph", "b": "nothing"}}))

    done = subprocess.run(
        [sys.executable, "-m", "lgs_operator.cli", "up", str(up.manifest)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "graphs.a: ./graph.ts:graph: must be Python" in done.stderr
    assert "graphs.b: nothing: must be path:variable" in done.stderr
