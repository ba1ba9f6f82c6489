"""`lgs validate` on both kinds of file: everything that is wrong, at once, with exit code 2."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from lgs_operator.cli import app

GRAPH = "from langgraph.graph import StateGraph\ngraph = StateGraph(dict)\ngraph.add_node('a', lambda s: s)\n"
MANIFEST = """
apiVersion: lgs.dev/v1alpha1
kind: LangGraphService
metadata: {name: support}
spec:
  workers: {concurrency: 0, queue: {}}
  scaling: {minReplicas: 4, maxReplicas: 2}
"""


def validated(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["validate", *arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "graph.py").write_text(GRAPH + "graph.add_edge('__start__', 'a')\ngraph = graph.compile()\n")
    (tmp_path / "langgraph.json").write_text(json.dumps({"graphs": {"agent": "./graph.py:graph"}}))
    return tmp_path


def test_a_manifest_is_told_all_that_is_wrong_with_it(tmp_path: Path) -> None:
    (tmp_path / "service.yaml").write_text(MANIFEST)

    done = validated(str(tmp_path))

    assert done.exit_code == 2
    assert "spec.workers.concurrency: 0: must be at least 1" in done.stderr
    assert "spec.workers.queue: unknown field; did you mean queues?" in done.stderr
    assert "spec.scaling.minReplicas: 4: must not be above maxReplicas, which is 2" in done.stderr


def test_a_langgraph_json_is_told_all_that_is_wrong_with_it(folder: Path) -> None:
    graphs = {"a": "./graph.py:grpah", "b": "./lost.py:graph"}
    (folder / "langgraph.json").write_text(json.dumps({"graphs": graphs, "dependencies": ["./lost"]}))

    done = validated(str(folder / "langgraph.json"))

    assert done.exit_code == 2
    assert "graphs.a: ./graph.py:grpah: graph.py has no grpah; did you mean graph?" in done.stderr
    assert "graphs.b: ./lost.py:graph: there is no file" in done.stderr
    assert "dependencies[0]: ./lost: must be a folder that exists" in done.stderr


def test_a_manifest_without_graphs_is_checked_with_the_langgraph_json_that_names_them(folder: Path) -> None:
    head = "apiVersion: lgs.dev/v1alpha1\nkind: LangGraphService\nmetadata: {name: support}\n"
    (folder / "service.yaml").write_text(head + "spec: {source: {folder: .}}\n")
    good = validated(str(folder))
    (folder / "langgraph.json").write_text(json.dumps({"graphs": {"agent": "./graph.py:grpah"}}))
    wrong = validated(str(folder))
    (folder / "service.yaml").write_text(
        head + "spec: {source: {folder: .}, graphs: {agent: ./graph.py:graph}}\n"
    )
    named = validated(str(folder))

    assert (good.exit_code, "langgraph.json: valid; its graphs: agent" in good.stdout) == (0, True)
    assert (wrong.exit_code, "did you mean graph?" in wrong.stderr) == (2, True)
    assert (named.exit_code, "langgraph.json" in named.output) == (0, False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param('{"graphs": ' + "[" * 100_000 + "]" * 100_000 + "}", "JSON: can't be read", id="levels"),
        pytest.param('{"graphs": {"a": ' + "9" * 5000 + "}}", "JSON: can't be read", id="digits"),
        pytest.param('{"graphs": {"a\\ud800": "./graph.py:graph"}}', "JSON: can't be read", id="half"),
        pytest.param('{"graphs": {"": "./graph.py:graph"}}', "graphs: ", id="no name"),
        pytest.param('{"graphs": {"a": "./graph.py:graph"}, "env": {"A=B": "x"}}', "env: A=B", id="variable"),
    ],
)
def test_a_langgraph_json_that_the_runtime_would_not_take_is_not_valid(
    folder: Path, text: str, said: str
) -> None:
    (folder / "langgraph.json").write_text(text)

    done = validated(str(folder / "langgraph.json"))

    assert done.exit_code == 2
    assert said in done.stderr


@pytest.mark.parametrize(
    "text", ["spec: " + "[" * 20_000, "spec: 2026-99-99", "spec: " + "9" * 5000], ids=len
)
def test_a_manifest_that_can_not_be_read_is_told_as_that(tmp_path: Path, text: str) -> None:
    (tmp_path / "service.yaml").write_text(f"kind: LangGraphService\n{text}\n")

    done = validated(str(tmp_path / "service.yaml"))

    assert done.exit_code == 2
    assert "YAML: can't be read" in done.stderr


def test_a_key_that_was_meant_for_another_is_told_with_what_is_missing(folder: Path) -> None:
    (folder / "langgraph.json").write_text(json.dumps({"graph": {"agent": "./graph.py:graph"}}))

    done = validated(str(folder))

    assert done.exit_code == 2
    assert "graphs: none: must name a graph" in done.stderr
    assert "graph: is no key of langgraph.json and has no effect; did you mean graphs?" in done.stderr


def test_what_only_keeps_it_from_an_image_is_said_and_it_is_valid(folder: Path) -> None:
    document = {"graphs": {"agent": "./graph.py:graph"}, "node_version": "20"}
    (folder / "langgraph.json").write_text(json.dumps(document))

    done = validated(str(folder))

    assert done.exit_code == 0
    assert "valid; its graphs: agent" in done.stdout
    assert "not for lgs build: node_version: 20:" in done.stderr


def test_every_graph_is_loaded_where_that_is_asked(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert validated(str(folder), "--load").exit_code == 0

    (folder / "graph.py").write_text("graph = open('/nowhere/at/all')\n")
    done = validated(str(folder), "--load")

    assert done.exit_code == 2
    assert "FileNotFoundError" in capfd.readouterr().err
