"""The application runs on its own Python, and a log is read for what went wrong."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from lgs_operator.local import interpreter
from lgs_operator.local.errors import LocalError
from lgs_operator.local.interpreter import choose
from lgs_operator.local.worker_log import MOST_LINES, missing_module, readable

OWN = Path(sys.prefix)


def environment(prefix: Path) -> Path:
    (prefix / "bin").mkdir(parents=True)
    (prefix / "pyvenv.cfg").write_text("")
    python = prefix / "bin" / "python"
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    return python


def test_the_environment_of_the_application_comes_before_that_of_lgs(tmp_path: Path) -> None:
    python = environment(tmp_path / ".venv")

    assert choose(tmp_path, None, {"VIRTUAL_ENV": str(OWN)}, OWN).python == python


def test_one_above_it_in_its_repository_counts_and_one_outside_does_not(tmp_path: Path) -> None:
    python = environment(tmp_path / "repository" / ".venv")
    environment(tmp_path / ".venv")
    inside, alone = tmp_path / "repository" / "apps" / "agent", tmp_path / "alone"
    inside.mkdir(parents=True)
    alone.mkdir()
    (tmp_path / "repository" / ".git").mkdir()

    assert choose(inside, None, {}, OWN).python == python
    assert choose(alone, None, {}, OWN).python == Path(sys.executable)


def test_an_active_environment_comes_first_and_what_is_asked_for_before_that(tmp_path: Path) -> None:
    environment(tmp_path / ".venv")
    active = environment(tmp_path / "active")
    asked = environment(tmp_path / "asked")
    env = {"VIRTUAL_ENV": str(tmp_path / "active")}

    assert choose(tmp_path, None, env, OWN).python == active
    assert choose(tmp_path, tmp_path / "asked", env, OWN).python == asked
    assert choose(tmp_path, asked, env, OWN).python == asked


def test_a_lock_of_uv_is_run_by_uv_where_there_is_one(tmp_path: Path) -> None:
    tools, app = tmp_path / "tools", tmp_path / "app"
    tools.mkdir()
    app.mkdir()
    (tools / "uv").write_text("#!/bin/sh\n")
    (tools / "uv").chmod(0o755)
    for name in ("uv.lock", "pyproject.toml"):
        (app / name).write_text("")

    assert choose(app, None, {"PATH": str(tools)}, OWN).project == app
    (app / "pyproject.toml").write_text('[tool.uv.workspace]\nmembers = ["agent"]\n')
    (app / "agent").mkdir()
    (app / "agent" / "pyproject.toml").write_text('[project]\nname = "agent"\n')
    assert choose(app / "agent", None, {"PATH": str(tools)}, OWN).project == app / "agent"
    assert choose(app, None, {"PATH": str(app)}, OWN).project is None


@pytest.mark.parametrize(
    "project",
    [
        '[project]\nname = "agent"\nrequires-python = ">=3.99"\n',
        '[tool.poetry]\nname = "agent"\n[tool.poetry.dependencies]\npython = "^3.99"\n',
    ],
    ids=["requires-python", "poetry"],
)
def test_a_python_that_the_application_excludes_is_refused_before_its_code_is_loaded(
    tmp_path: Path, project: str
) -> None:
    (tmp_path / "pyproject.toml").write_text(project)
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"

    with pytest.raises(LocalError, match=rf"needs Python >=3\.99.*, runs on {here}.*; choose --python"):
        interpreter.interpreter(tmp_path, None, {})

    asked = interpreter.interpreter(tmp_path, Path(sys.executable), {})
    assert asked.version.startswith(here), "who asks for it by name gets it"


def test_a_python_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match=r"--python: .*nowhere: must be a Python"):
        choose(tmp_path, tmp_path / "nowhere", {}, OWN)


def test_a_log_is_read_for_what_went_wrong_with_tracebacks_on_lines_of_their_own() -> None:
    log = [
        json.dumps({"event": "replica.starting", "level": "info"}),
        json.dumps({"event": "failed", "level": "error", "graph": "a", "exception": "Traceback:\n  line 1"}),
        "graphs.a: it raised",
        "",
    ]  # fmt: skip

    assert readable(log) == ["error: failed graph=a", "Traceback:", "  line 1", "graphs.a: it raised"]


def test_of_a_long_log_the_end_is_shown_and_how_much_is_not() -> None:
    shown = readable([f"line {number}" for number in range(MOST_LINES + 5)])

    assert shown[0] == "… 5 lines before this"
    assert shown[-1] == f"line {MOST_LINES + 4}"


def test_the_package_that_an_import_missed_is_found_in_a_log() -> None:
    log = ["Traceback", "ModuleNotFoundError: No module named 'tavily.client'"]

    assert missing_module(log) == "tavily"
    assert missing_module(["ValueError"]) is None


@pytest.fixture
def no_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "uv_runs", lambda: False)


@pytest.mark.usefixtures("no_uv")
def test_an_application_without_an_environment_is_told_how_to_make_one_with_the_runtime_in_it(
    tmp_path: Path,
) -> None:
    made = interpreter.making_one(tmp_path, ["-e", str(tmp_path)])

    runtime, python = interpreter.runtime_source(), tmp_path / ".venv" / "bin" / "python"
    assert made == (
        f"{sys.executable} -m venv {tmp_path / '.venv'} && {python} -m pip install {runtime} -e {tmp_path}"
    )
    assert choose(tmp_path, None, {}, OWN).of_lgs
    environment(tmp_path / ".venv")
    assert not choose(tmp_path, None, {}, OWN).of_lgs


def test_uv_installs_into_the_environment_that_the_application_has_or_gives_it_the_runtime(
    tmp_path: Path,
) -> None:
    app = tmp_path / "apps" / "agent"

    def synced(prefix: Path, *, of_lgs: bool = False) -> str:
        python = interpreter.Interpreter(prefix / "bin" / "python", prefix, "3.12.1", "chosen", of_lgs)
        return interpreter.syncing(python, app, tmp_path)

    sync = f"uv sync --inexact --project {app}"
    assert synced(tmp_path / ".venv") == sync
    assert synced(Path("/opt/other")) == f"UV_PROJECT_ENVIRONMENT=/opt/other {sync}"
    install = f"uv pip install --python {tmp_path}/.venv/bin/python {interpreter.runtime_source()}"
    assert synced(OWN, of_lgs=True) == f"{sync} && {install}"


@pytest.mark.usefixtures("no_uv")
def test_an_environment_of_uv_gets_a_pip_before_it_is_used_where_there_is_no_uv() -> None:
    told = interpreter.installing(Path("/app/bin/python"), ["tavily"], has_pip=False)

    assert told == "/app/bin/python -m ensurepip && /app/bin/python -m pip install tavily"


def test_the_runtime_is_named_by_its_folder_where_lgs_alone_was_installed_from_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runtime").mkdir()
    (tmp_path / "runtime" / "pyproject.toml").write_text("")
    folders = {"lgs-operator": tmp_path / "operator"}
    monkeypatch.setattr(interpreter, "_folder_of", folders.get)

    assert interpreter.runtime_source() == str(tmp_path / "runtime")
    (tmp_path / "runtime" / "pyproject.toml").unlink()
    assert interpreter.runtime_source() == "lgs-runtime"
