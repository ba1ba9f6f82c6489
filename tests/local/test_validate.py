"""`lgs validate` on both kinds of file: everything that is wrong, at once, with exit code 2."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from lgs_operator.cli import app
from lgs_operator.local.service import Options, read

GRAPH = "from langgraph.graph import StateGraph\ngraph = StateGraph(dict)\ngraph.add_node('a', lambda s: s)\n"
MANIFEST = """
apiVersion: lgs.dev/v1alpha1
kind: LangGraphService
metadata: {name: support}
spec:
  workers: {concurrency: 0, queue: {}}
  scaling: {minReplicas: 4, maxReplicas: 2}
"""


@pytest.fixture
def with_runtime() -> None:
    """A test that needs what the runtime says; it takes a process for each file."""


@pytest.fixture(autouse=True)
def without_runtime(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "with_runtime" not in request.fixturenames:
        monkeypatch.setattr("lgs_operator.commands.validate._sections", lambda *_: None)


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


def test_the_graphs_of_a_manifest_are_found_in_the_folder_that_it_names(folder: Path) -> None:
    head = "apiVersion: lgs.dev/v1alpha1\nkind: LangGraphService\nmetadata: {name: support}\n"
    (folder / "src" / "pack").mkdir(parents=True)
    (folder / "src" / "pack" / "__init__.py").write_text("graph = None\n")
    graphs = (
        "{a: ./lost.py:graph, b: ./graph.py:grpah, c: pack:grap, d: pack:graph, e: installed.somewhere:x}"
    )
    (folder / "service.yaml").write_text(f"{head}spec:\n  graphs: {graphs}\n  source: {{folder: .}}\n")
    done = validated(str(folder / "service.yaml"))
    (folder / "service.yaml").write_text(f"{head}spec:\n  graphs: {graphs}\n  image: e.com/x:1\n")
    elsewhere = validated(str(folder / "service.yaml"))

    assert done.exit_code == 2
    assert "spec.graphs.a: ./lost.py:graph: there is no file" in done.stderr
    assert "spec.graphs.b: ./graph.py:grpah: graph.py has no grpah; did you mean graph?" in done.stderr
    assert "spec.graphs.c: pack:grap: __init__.py has no grap; did you mean graph?" in done.stderr
    assert len(done.stderr.splitlines()) == 3
    assert elsewhere.exit_code == 0, "the code is in the image alone"


def test_a_key_that_stands_twice_is_refused_with_both_lines(folder: Path) -> None:
    twice = '{"graphs": {"agent": "./graph.py:graph"},\n "env": {},\n "env": {"A": "1"}}'
    (folder / "langgraph.json").write_text(twice)

    done = validated(str(folder))

    assert done.exit_code == 2
    assert "line 3: JSON: env stands twice, in lines 2 and 3" in done.stderr


def test_embeddings_in_a_file_that_is_not_there_are_told(folder: Path) -> None:
    index = {"dims": 3, "embed": "./lost.py:embed"}
    content = {"graphs": {"agent": "./graph.py:graph"}, "store": {"index": index}}
    (folder / "langgraph.json").write_text(json.dumps(content))
    lost = validated(str(folder))
    content["store"]["index"]["embed"] = "ollama:all/mini"  # type: ignore[index]
    (folder / "langgraph.json").write_text(json.dumps(content))

    assert "store.index.embed: ./lost.py:embed: there is no file" in lost.stderr
    assert validated(str(folder)).exit_code == 0


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


def test_files_with_a_byte_order_mark_are_read_as_the_runtime_reads_them(folder: Path) -> None:
    for name, text in (("langgraph.json", (folder / "langgraph.json").read_text()), ("service.yaml", NAMES)):
        (folder / name).write_text(text.replace("agnet", "agent").replace("agnt", "agent"), "utf-8-sig")

    done = validated(str(folder))

    assert (done.exit_code, done.stderr) == (0, "")
    assert "its graphs: agent" in done.stdout


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


@pytest.mark.usefixtures("with_runtime")
def test_the_sections_of_the_server_are_checked_by_the_runtime_without_loading_what_they_name(
    folder: Path,
) -> None:
    content = {
        "graphs": {"agent": "./graph.py:graph"},
        "store": {"index": {"dims": "x", "embed": "a:b"}, "ttl": {"default_ttl": "soon"}},
        "checkpointer": {
            "ttl": {"default_ttl": -1, "strategy": "nope"}, "serde": {"allowed_msgpack_modules": "x"},
        },
        "http": {"cors": {"allow_origins": "*"}, "mount_prefix": 5},
        "auth": {"pth": "./auth.py:auth"},
        "webhooks": {"urll": {}, "headers": {"x": "${{ env.LG_WEBHOOK_NOT_SET_HERE }}"}},
    }  # fmt: skip
    (folder / "graph.py").write_text("raise ValueError('not to be loaded')\ngraph = None\n")
    (folder / "langgraph.json").write_text(json.dumps(content))

    wrong = validated(str(folder))
    (folder / "service.yaml").write_text(MANIFEST.partition("spec:")[0] + "spec: {source: {folder: .}}\n")
    of_manifest = validated(str(folder))
    kept = {"graphs": content["graphs"], "webhooks": content["webhooks"]}
    (folder / "langgraph.json").write_text(json.dumps(kept))
    noted = validated(str(folder / "langgraph.json"))

    for section in (
        "store.index.dims: 'x'", "store.ttl.default_ttl: 'soon'", "checkpointer.ttl.default_ttl: -1",
        "checkpointer.ttl.strategy: 'nope'", "checkpointer.serde.allowed_msgpack_modules: 'x'",
        "http.cors.allow_origins: '*'", "http.mount_prefix: 5", "auth.pth: unknown",
    ):  # fmt: skip
        assert section in wrong.stderr
    assert wrong.exit_code == of_manifest.exit_code == 2
    assert "store.index.dims" in of_manifest.stderr
    assert noted.exit_code == 0, "its headers' variables are those of where it will run"
    assert "webhooks: urll: no key that is known there" in noted.stderr


@pytest.mark.usefixtures("with_runtime")
@pytest.mark.parametrize("named", ["langgraph.json", ""])
def test_a_file_in_a_folder_below_is_checked_by_its_path_from_here(
    named: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = {"graphs": {"agent": "./graph.py:graph"}, "http": {"ap": 1}}
    (folder / "langgraph.json").write_text(json.dumps(content))
    monkeypatch.chdir(folder.parent)

    done = validated(f"{folder.name}/../{folder.name}/{named}")

    assert done.exit_code == 0, done.stderr
    assert done.stderr.startswith(f"{folder}/langgraph.json: note: http: ap: no key that is known there")


@pytest.mark.usefixtures("with_runtime")
def test_what_lgs_and_what_the_runtime_finds_wrong_is_told_at_once_and_each_thing_once(folder: Path) -> None:
    content = {
        "graphs": {"agent": "graph"},
        "dependencies": ["./lost"],
        "auth": {"path": "./auth.py"},
        "store": {"index": {"dims": "3", "embed": "a:b"}},
    }
    (folder / "langgraph.json").write_text(json.dumps(content))

    done = validated(str(folder))

    assert done.exit_code == 2
    fields = [line.removeprefix(f"{folder}/langgraph.json: ") for line in done.stderr.splitlines()]
    assert sorted(field.partition(": ")[0] for field in fields) == [
        "auth.path", "dependencies[0]", "graphs.agent", "store.index.dims",
    ]  # fmt: skip


@pytest.mark.usefixtures("with_runtime")
def test_a_note_is_said_once_where_graphs_are_loaded(folder: Path) -> None:
    content = {"graphs": {"agent": "./graph.py:graph"}, "env": ".env", "http": {"ap": 1}}
    (folder / "langgraph.json").write_text(json.dumps(content))

    done = validated(str(folder), "--load")

    assert done.exit_code == 0
    assert [line.partition("note: ")[2].partition(":")[0] for line in done.stderr.splitlines()] == [
        "env",
        "http",
    ]


@pytest.mark.usefixtures("with_runtime")
def test_where_there_is_no_runtime_it_is_said_what_is_not_checked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lgs_operator.commands.validate.at_hand", lambda *_: None)

    done = validated(str(folder))

    assert done.exit_code == 0
    assert "there is no lgs-runtime here, which checks auth, checkpointer, encryption, http" in done.stderr


def test_every_graph_is_loaded_where_that_is_asked(folder: Path) -> None:
    assert validated(str(folder), "--load").exit_code == 0

    (folder / "graph.py").write_text("graph = open('/nowhere/at/all')\n")
    done = validated(str(folder), "--load")

    assert done.exit_code == 2
    assert "FileNotFoundError" in done.stderr


WARMUP = """
apiVersion: lgs.dev/v1alpha1
kind: LangGraphService
metadata: {name: support}
spec:
  source: {folder: .}
  cache: {warmup: {inputs: [{input: {}}, {assistant: agnet, input: {}}], file: warmup.jsonl}}
"""


def test_a_warm_up_is_checked_with_its_file_and_the_graphs_that_there_are(folder: Path) -> None:
    (folder / "service.yaml").write_text(WARMUP)
    missing = validated(str(folder))
    good_line = '{"input": "one \u2028 line"}'
    lines = [good_line, "", "{", "[]", '{"inptu": 1, "input": 1}', '{"assistant": "b", "input": 0}']
    (folder / "warmup.jsonl").write_text("\n".join(lines), "utf-8")
    wrong = validated(str(folder))
    (folder / "warmup.jsonl").write_text(good_line, "utf-8")
    (folder / "service.yaml").write_text(WARMUP.replace("agnet", "agent"))
    good = validated(str(folder))

    assert missing.exit_code == wrong.exit_code == 2
    assert "spec.cache.warmup.file: warmup.jsonl: there is no such file in" in missing.stderr
    for said in (
        "inputs[1].assistant: agnet: must be a graph, or the id of an assistant; the graphs are: agent",
        "warmup.jsonl:3: {: must be JSON",
        "warmup.jsonl:4: []: must be an object with input",
        "warmup.jsonl:5.inptu: Extra inputs are not permitted",
        "warmup.jsonl:6.assistant: b: must be a graph",
    ):
        assert said in wrong.stderr
    assert "warmup.jsonl:1" not in wrong.stderr
    assert (good.exit_code, good.stderr) == (0, "")


def test_a_number_of_replicas_that_the_scaling_law_sets_is_noted(folder: Path) -> None:
    text = MANIFEST.partition("spec:")[0] + "spec:\n  source: {folder: .}\n  replicas: 3\n"
    (folder / "service.yaml").write_text(text)
    by_law = validated(str(folder))
    notes = read(Options(folder / "service.yaml")).notes
    (folder / "service.yaml").write_text(text + "  scaling: {mode: Manual}\n")
    by_hand = validated(str(folder))

    said = "spec.replicas: 3: has no effect in scaling.mode Auto: scaling.minReplicas and maxReplicas bound"
    assert by_law.exit_code == by_hand.exit_code == 0
    assert f"note: {said}" in by_law.stderr
    assert any(note.startswith(said) for note in notes)
    assert by_hand.stderr == ""


NAMES = """
apiVersion: lgs.dev/v1alpha1
kind: LangGraphService
metadata: {name: support}
spec:
  source: {folder: .}
  cache: {answers: {agnet: {}}}
  circuitBreaker: {graphs: {agnt: {probes: 1}}}
"""


def test_graphs_that_a_manifest_names_are_those_of_the_langgraph_json(folder: Path) -> None:
    (folder / "service.yaml").write_text(NAMES)

    checked, up = validated(str(folder)), CliRunner().invoke(app, ["up", str(folder), "--port", "0"])

    for done in (checked, up):
        assert done.exit_code == 2
        said = [line.partition("service.yaml: ")[2] for line in done.stderr.splitlines()]
        assert said == [
            "spec.cache.answers: agnet: must be a graph; the graphs are: agent",
            "spec.circuitBreaker.graphs: agnt: must be a graph; the graphs are: agent",
        ]


def test_a_manifest_whose_file_has_another_name_is_checked_with_that(folder: Path) -> None:
    (folder / "langgraph.json").rename(folder / "other.json")
    pod = "  pod: {env: [{name: LGS_CONFIG, value: other.json}]}\n"
    (folder / "service.yaml").write_text(NAMES + pod)

    done = validated(str(folder))

    assert done.exit_code == 2
    assert "spec.cache.answers: agnet: must be a graph; the graphs are: agent" in done.stderr


def test_a_warm_up_file_that_may_be_in_the_image_alone_is_a_note(tmp_path: Path) -> None:
    text = WARMUP.replace("source: {folder: .}", "image: example.com/support:1")
    (tmp_path / "service.yaml").write_text(text)

    done = validated(str(tmp_path))

    assert done.exit_code == 0
    assert "note: spec.cache.warmup.file: warmup.jsonl: there is no such file in" in done.stderr
