"""What the `lgs` command loads: what only checks or shows something answers at once."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lgs_operator.cli import app
from lgs_operator.local.errors import LocalError
from lgs_operator.local.machine import lock


def test_only_lgs_up_loads_an_http_client() -> None:
    code = "import json, sys, lgs_operator.cli; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    loaded = set(json.loads(done.stdout))

    assert "lgs_crds.model" in loaded
    assert not loaded & {"aiohttp", "kopf", "kubernetes", "lgs_operator.local.supervisor"}


BARRED = """
import sys

class Barred:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("kopf", "kubernetes"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Barred())
"""


def without_a_cluster(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Runs code where neither kopf nor the Kubernetes client is installed."""
    (folder / "sitecustomize.py").write_text(BARRED)
    env = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False)


def test_every_command_of_lgs_works_without_what_talks_to_a_cluster(tmp_path: Path) -> None:
    """Their requirements would meet the application's: lgs may be installed beside it."""
    parts = "lgs_operator.cli, lgs_operator.local.supervisor, lgs_operator.local.view"

    done = without_a_cluster(tmp_path, f"import {parts}; print('all there')")

    assert done.stdout == "all there\n", done.stderr


def test_the_operator_says_which_extra_it_lacks(tmp_path: Path) -> None:
    done = without_a_cluster(
        tmp_path, "import sys; from lgs_operator.entrypoint import main; sys.exit(main())"
    )

    assert done.returncode == 2
    assert "pip install 'lgs-operator[cluster]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_version_is_asked_for_as_a_command_or_an_option() -> None:
    said = {CliRunner().invoke(app, [asked]).stdout for asked in ("version", "--version")}

    assert said == {f"{version('lgs-operator')}\n"}


@pytest.mark.parametrize(
    ("arguments", "option", "value", "rule"),
    [
        (["up"], "--port", "-1", "0"),
        (["up"], "--page-port", "65536", "65535"),
        (["dashboard"], "--port", "many", "integer"),
        (["simulate"], "--fixed", "0", "1"),
        (["simulate"], "--startup-seconds", "4000", "3600"),
        (["top"], "--every", "0.1", "0.5"),
        (["rollback", "support"], "--to", "0", "1"),
        (["why", "support"], "--events", "1001", "1000"),
    ],
)
def test_a_number_that_there_can_not_be_is_refused_with_its_option_its_value_and_the_rule(
    arguments: list[str], option: str, value: str, rule: str
) -> None:
    done = CliRunner().invoke(app, [*arguments, option, value])

    said = " ".join(line.strip("│ ") for line in done.stderr.splitlines())
    assert done.exit_code == 2
    assert re.search(rf"{option}\W+{re.escape(value)}\b.*\b{re.escape(rule)}\b", said), said


def test_sessions_are_kept_out_of_the_repository_of_the_application(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)

    lock(tmp_path / ".lgs" / "support").close()
    lock(tmp_path / ".lgs" / "support").close()

    told = subprocess.run(
        ["git", "-C", str(tmp_path), "status", "--porcelain"], capture_output=True, text=True, check=True
    )
    assert told.stdout == ""


def test_a_lock_of_uv_that_no_image_is_made_from_is_named(tmp_path: Path) -> None:
    (tmp_path / "graph.py").write_text("graph = None\n")
    (tmp_path / "langgraph.json").write_text(
        '{"graphs": {"agent": "./graph.py:graph"}, "dependencies": ["."]}'
    )
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "support"\nversion = "1"\n')
    (tmp_path / "uv.lock").write_text("")

    done = CliRunner().invoke(app, ["dockerfile", str(tmp_path)])

    assert done.exit_code == 0
    assert "uv.lock is not read" in done.stderr


CLUSTER = """
apiVersion: v1
kind: Config
contexts: [{name: a, context: {cluster: a, user: a}}]
clusters: [{name: a, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: a, user: {}}]
"""


@pytest.mark.parametrize("command", ["rollback", "why"])
@pytest.mark.parametrize("namespace", [[], ["--namespace", "shop"]])
@pytest.mark.parametrize("text", [None, CLUSTER, "a: [", "[1]", "text"])
def test_a_kubeconfig_that_can_not_be_used_is_named(
    command: str, namespace: list[str], text: str | None, tmp_path: Path
) -> None:
    file = tmp_path / "config"
    if text is not None:
        file.write_text(text)

    done = CliRunner().invoke(app, [command, "support", *namespace], env={"KUBECONFIG": str(file)})

    rule = "there is no such file; KUBECONFIG names" if text is None else "must be a kubeconfig: "
    assert done.exit_code == 2, done.exception
    assert f"{file}: {rule}" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["dockerfile", "{folder}", "--output", "{there}/Dockerfile"],
        ["init", "{folder}", "--output", "{there}/service.yaml"],
        ["up", "{folder}", "--port", "0", "--history", "{there}/history"],
    ],
)
def test_what_can_not_be_written_is_refused_by_its_name(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "graph.py").write_text("graph = None\n")
    (tmp_path / "langgraph.json").write_text('{"graphs": {"agent": "./graph.py:graph"}}')
    there = tmp_path / "a file"
    there.touch()

    done = CliRunner().invoke(app, [each.format(folder=tmp_path, there=there) for each in arguments])

    assert done.exit_code == 2, done.exception
    assert f"{there}/{Path(arguments[-1]).name}: Not a directory: must be" in done.stderr


def test_a_folder_that_sessions_can_not_be_kept_in_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / ".lgs").touch()

    with pytest.raises(LocalError, match=r"/\.lgs/support: Not a directory: .* must be a folder"):
        lock(tmp_path / ".lgs" / "support")
