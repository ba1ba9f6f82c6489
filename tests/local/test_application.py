"""A `langgraph.json` is read whole, without running anything of it, and all problems are reported at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lgs_crds import ManifestError, load
from lgs_operator.application import Application, read
from lgs_operator.application.members import only_by_uv, what_to_install
from lgs_operator.application.names import imports_in, names_in
from lgs_operator.application.project import as_service_name, name_of
from lgs_operator.application.target import found, kind_of

GRAPH = "from langgraph.graph import StateGraph\n\ngraph = StateGraph(dict).compile()\n"


def application(folder: Path, **content: Any) -> Application:
    (folder / "graph.py").write_text(GRAPH)
    path = folder / "langgraph.json"
    path.write_text(json.dumps({"dependencies": ["."], "graphs": {"agent": "./graph.py:graph"}} | content))
    return read(path)


def problems(folder: Path, **content: Any) -> list[str]:
    with pytest.raises(ManifestError) as refused:
        application(folder, **content)
    return [str(problem) for problem in refused.value.problems]


def test_a_small_file_is_an_application(tmp_path: Path) -> None:
    found = application(tmp_path)

    assert found.graphs == {"agent": "./graph.py:graph"}
    assert found.folders == (tmp_path,)
    assert found.notes == found.unbuildable == ()


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    told = problems(
        tmp_path,
        graphs={"a": "./graph.py:grahp", "b": "./missing.py:graph", "c": "./agent.ts:graph", "d": 7},
        dependencies=["./nowhere", "git+https://me:token@example.com/repo"],
        env=3,
        http={"app": "./graph.py"},
        pip_installer="poetry",
        keep_pkg_tools=["git"],
        python_version="3.9",
    )

    assert told == [
        "dependencies[0]: ./nowhere: must be a folder that exists",
        "dependencies[1]: a URL: must have no user or token in its URL: the image would keep it",
        "graphs.a: ./graph.py:grahp: graph.py has no grahp; did you mean graph?",
        f"graphs.b: ./missing.py:graph: there is no file {tmp_path}/./missing.py".replace("/./", "/"),
        "graphs.c: ./agent.ts:graph: must be Python: this server runs no JavaScript; a manifest "
        'with spec.graphs: {"a": "./graph.py:grahp", "b": "./missing.py:graph"} serves those in Python',
        "graphs.d: 7: must be path:variable, such as ./graph.py:graph",
        "http.app: ./graph.py: must be path:variable, such as ./webapp.py:app",
        "env: 3: must be a file, or an object of names to values",
        "pip_installer: poetry: must be one of auto, pip, uv",
        "python_version: 3.9: must be at least 3.11",
        'keep_pkg_tools: ["git"]: must be true, false or a list of pip, setuptools, wheel',
    ]


def test_a_number_that_must_be_a_text_is_told_as_that(tmp_path: Path) -> None:
    assert problems(tmp_path, python_version=3.11) == ['python_version: 3.11: must be a text: "3.11"']
    assert problems(tmp_path, python_version="") == ["python_version: : must be a text that is not empty"]


def test_broken_json_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "langgraph.json"
    path.write_text('{\n  "graphs": {,}\n}')

    with pytest.raises(ManifestError, match=r"line 2: JSON: "):
        read(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("node_version", "20"),
        ("ui", {"agent": "./ui.tsx"}),
        ("base_image", "langchain/langgraph-api"),
        ("python_version", "3.14"),
    ],
)
def test_what_no_image_can_have_is_named_and_keeps_nothing_else_from_working(
    tmp_path: Path, key: str, value: Any
) -> None:
    found = application(tmp_path, **{key: value})

    (problem,) = found.unbuildable
    assert problem.path == key


def test_every_key_of_the_public_schema_is_known(tmp_path: Path) -> None:
    (tmp_path / "pip.conf").write_text("[global]\n")
    found = application(
        tmp_path,
        **{"$schema": "https://langgra.ph/schema.json"},
        api_version="0.8",
        base_image="example.com/lgs-runtime:1",
        dockerfile_lines=["RUN true"],
        image_distro="debian",
        keep_pkg_tools=True,
        pip_config_file="pip.conf",
        pip_installer="auto",
        python_version="3.12",
        env={"LEVEL": 1},
        auth={}, checkpointer={}, encryption=None, http={}, priority=None, store={}, webhooks={},
    )  # fmt: skip

    assert [note.path for note in found.notes] == ["api_version"]
    assert found.image.keep_pkg_tools == ("pip", "setuptools", "wheel")


def test_a_slip_of_the_pen_and_a_missing_env_file_are_notes(tmp_path: Path) -> None:
    notes = application(tmp_path, dependancies=["."], env=".env").notes

    assert [str(note) for note in notes] == [
        "dependancies: is no key of langgraph.json and has no effect; did you mean dependencies?",
        "env: .env: no such file: what it should set must come from the environment",
    ]


def test_requirements_beside_the_file_that_it_does_not_name_are_a_note(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "src").mkdir()

    (note,) = application(tmp_path, dependencies=["./src"]).notes

    assert str(note) == 'dependencies: has no ".": what requirements.txt beside it needs is not installed'
    assert application(tmp_path).notes == ()


def test_a_python_that_the_project_does_not_allow_is_a_note(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "a"\nrequires-python = ">=3.12"\n')

    (note,) = application(tmp_path, python_version="3.11").notes

    assert "python_version: 3.11: is none that pyproject.toml allows, which requires >=3.12" in str(note)
    assert application(tmp_path, python_version="3.12").notes == ()


def test_names_are_found_where_an_import_would_make_them(tmp_path: Path) -> None:
    file = tmp_path / "agent.py"
    file.write_text(
        "import os.path\ntry:\n    from a.b import c as d\nexcept ImportError:\n    d = None\n"
        "if True:\n    (e, *f), g.h = 1, 2\ndef i():\n    j = 1\n    import inside\n"
        "class k: l = 1\nm: int = 1\n"
    )

    names = names_in(file)

    assert names.defined == {"os", "d", "e", "f", "i", "k", "m"}
    assert not names.open
    assert imports_in(file) == {"os", "a", "inside"}


def test_a_module_that_passes_on_the_names_of_another_may_have_any(tmp_path: Path) -> None:
    (tmp_path / "agent.py").write_text("from graph import *\n")

    assert application(tmp_path, graphs={"agent": "./agent.py:anything"}).graphs


def test_a_dotted_module_is_looked_for_in_the_dependencies_and_their_src(tmp_path: Path) -> None:
    package = tmp_path / "lib" / "src" / "agent"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "graph.py").write_text(GRAPH)

    graphs = {"a": "agent.graph:graph", "installed": "elsewhere.graph:graph"}
    assert application(tmp_path, dependencies=["./lib"], graphs=graphs).graphs == graphs
    assert problems(tmp_path, dependencies=["./lib"], graphs={"a": "agent.graph:flow"}) == [
        "graphs.a: agent.graph:flow: graph.py has no flow"
    ]


@pytest.mark.parametrize(
    ("text", "name"),
    [("My Agent_2", "my-agent-2"), ("--", ""), ("2-agents", "agents"), ("a" * 60, "a" * 40), ("ä", "")],
)
def test_a_name_becomes_one_that_kubernetes_takes(text: str, name: str) -> None:
    assert as_service_name(text) == name


def test_the_name_is_that_of_the_project_else_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "React_Agent"
    folder.mkdir()

    assert name_of(folder)[0] == "react-agent"
    (folder / "pyproject.toml").write_text('[tool.poetry]\nname = "support"\n')
    assert name_of(folder)[0] == "support"
    (folder / "pyproject.toml").write_text('[project]\nname = "support_desk"\n')
    assert name_of(folder)[0] == "support-desk"


def test_what_to_install_is_what_the_file_depends_on(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("httpx\n")
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "setup.py").write_text("")

    needs = what_to_install(application(tmp_path, dependencies=[".", "./lib", "langchain-openai>=1"]))

    assert needs == ["-r", f"{tmp_path}/requirements.txt", "-e", f"{tmp_path}/lib", "langchain-openai>=1"]


MEMBER = '[project]\nname = "{}"\nversion = "1"\ndependencies = {}\n'
BUILD = "[build-system]\nrequires = []\n"


def workspace(folder: Path, sources: str, needs: str, *, more: str = "", build: str = BUILD) -> Application:
    """An application in a workspace that has `shared` beside it, which has `deeper`."""
    files = {
        "pyproject.toml": '[tool.uv.workspace]\nmembers = ["apps/*", "libs/*"]\n',
        "apps/agent/pyproject.toml": MEMBER.format("agent", needs)
        + f"{more}{build}[tool.uv.sources]\n{sources}",
        "libs/shared/pyproject.toml": MEMBER.format("shared", '["deeper>=1"]')
        + "[tool.uv.sources]\ndeeper = {workspace = true}\n",
        "libs/deeper/pyproject.toml": MEMBER.format("deeper", '["orjson"]') + BUILD,
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return application(folder / "apps" / "agent")


@pytest.mark.parametrize("source", ["{workspace = true}", '{path = "../../libs/shared"}'])
@pytest.mark.parametrize(
    ("needs", "more"),
    [
        ('["shared>=1", "httpx"]', ""),
        ('["httpx"]', '[project.optional-dependencies]\nall = ["Shared"]\n'),
    ],
    ids=["needs it", "as an extra"],
)
def test_what_a_package_takes_from_its_repository_is_never_left_to_the_index(
    tmp_path: Path, source: str, needs: str, more: str
) -> None:
    made = workspace(tmp_path, f"shared = {source}\n", needs, more=more)

    folders = [f"{tmp_path}/{name}" for name in ("apps/agent", "libs/shared", "libs/deeper")]
    assert what_to_install(made) == [word for folder in folders for word in ("-e", folder)]
    assert only_by_uv(made) is None


def test_what_only_a_build_system_asks_for_may_be_any_that_has_a_place(tmp_path: Path) -> None:
    made = workspace(tmp_path, "shared = {workspace = true}\n", "[]")
    file = made.folder / "pyproject.toml"
    file.write_text(file.read_text().replace("dependencies = []", 'dynamic = ["dependencies"]'))

    assert f"{tmp_path}/libs/shared" in what_to_install(made)


def test_what_comes_from_a_url_is_named_with_it_and_without_a_build_system_each_requirement(
    tmp_path: Path,
) -> None:
    sources = 'shared = {workspace = true}\ntool = {git = "https://e.com/t", rev = "v1"}\n'
    sources += 'wheel = {url = "https://e.com/wheel.whl"}\n'
    needs = '["shared", "tool", "wheel[x]>=1", "httpx"]'
    direct = ["tool @ git+https://e.com/t@v1", "wheel[x] @ https://e.com/wheel.whl"]

    built = what_to_install(workspace(tmp_path, sources, needs))
    plain = what_to_install(workspace(tmp_path, sources, needs, build=""))

    assert built[-2:] == direct
    assert f"{tmp_path}/apps/agent" not in plain
    assert (plain[:2], plain[-3:]) == (["-e", f"{tmp_path}/libs/shared"], [*direct, "httpx"])


@pytest.mark.parametrize(
    "source",
    [
        '{index = "ours"}', '[{index = "ours", marker = "x"}, {index = "other"}]', '{path = "./gone"}',
        '[{path = "../../libs/shared"}, {git = "https://e.com/s"}]',
    ],
)  # fmt: skip
def test_what_pip_can_not_be_told_the_place_of_is_left_to_uv(tmp_path: Path, source: str) -> None:
    made = workspace(tmp_path, f"shared = {source}\n", '["shared"]')

    assert only_by_uv(made) == made.folder


def test_graphs_in_typescript_are_one_problem_that_says_how_those_in_python_are_served(
    tmp_path: Path,
) -> None:
    one = problems(tmp_path, graphs={"agent": "./graph.py:graph", "web": {"path": "./web.ts:graph"}})
    three = problems(tmp_path, graphs={name: f"./{name}.mjs:graph" for name in "abc"})

    rule = "must be Python: this server runs no JavaScript"
    way = 'a manifest with spec.graphs: {"agent": "./graph.py:graph"} serves those in Python'
    assert one == [f"graphs.web: ./web.ts:graph: {rule}; {way}"]
    assert three == [f"graphs.a, graphs.b, graphs.c: 3 graphs: {rule}"]


def test_a_file_of_variables_that_is_missing_is_noted_with_the_example_beside_it(tmp_path: Path) -> None:
    rule = "env: .env: no such file: what it should set must come from the environment"
    without = application(tmp_path, env=".env").notes
    (tmp_path / ".env.example").write_text("A=\n")

    assert [str(note) for note in without] == [rule]
    noted = application(tmp_path, env=".env").notes
    assert [str(note) for note in noted] == [f"{rule}; .env.example beside it has the names"]


def test_a_folder_stands_for_its_manifest_else_for_its_langgraph_json(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"neither a LangGraphService .* nor a langgraph\.json"):
        found(tmp_path)

    application(tmp_path)
    (tmp_path / "other.yaml").write_text("kind: Deployment\n")
    assert found(tmp_path) == tmp_path / "langgraph.json"

    (tmp_path / "service.yaml").write_text("kind: LangGraphService\nspec: {question: what?}\n")
    assert found(tmp_path) == tmp_path / "service.yaml", "one that is no YAML is the one that is meant"

    (tmp_path / "service.yaml").write_text("kind: LangGraphService\n")
    assert found(tmp_path) == tmp_path / "service.yaml"

    (tmp_path / "second.yml").write_text("kind: LangGraphService\n")
    with pytest.raises(ManifestError, match=r"second\.yml, service\.yaml: there are several"):
        found(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: lgs.dev/v1beta1\nkind: LangGraphServce\n",
        "apiVersion: lgs.dev/v1beta1\nmetadata: {name: a}\n",
        'apiVersion: "lgs.dev/v1beta1"\nkind: [\n',
        "kind: 'LangGraphService'  # of the shop\nspec: {question: what?}\n",
        "kind: LangGraphService\nspec: \xe9\n".encode("latin-1"),
        "apiVersion: v1\nkind: ConfigMap\n---\nkind: LangGraphService\nspec: [\n",
        "\ufeffapiVersion: lgs.dev/v1beta1\nkind: [\n",
    ],
)
def test_a_file_that_was_to_be_a_manifest_is_not_passed_over(text: str | bytes, tmp_path: Path) -> None:
    application(tmp_path)
    manifest = tmp_path / "service.yaml"
    manifest.write_bytes(text if isinstance(text, bytes) else text.encode())

    assert found(tmp_path) == manifest, "not the langgraph.json beside it, which would be served instead"
    with pytest.raises(ManifestError):
        load(manifest)


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nspec: {group: lgs.dev}\n",
        "kind: ConfigMap\ndata:\n  a.yaml: |\n    apiVersion: lgs.dev/v1beta1\n    kind: LangGraphService\n",
        "kind: ScaledObject\nspec:\n  scaleTargetRef:\n    apiVersion: lgs.dev/v1beta1\n",
        "# apiVersion: lgs.dev/v1beta1\nname: a workflow\n",
    ],
)
def test_a_file_that_only_speaks_of_manifests_is_passed_over(text: str, tmp_path: Path) -> None:
    application(tmp_path)
    (tmp_path / "other.yaml").write_text(text)

    assert found(tmp_path) == tmp_path / "langgraph.json"


@pytest.mark.parametrize("place", ["my_graph.py", "src/agents/my_graph.py"])
def test_a_folder_without_a_langgraph_json_is_refused_with_the_one_that_serves_its_graph(
    tmp_path: Path, place: str
) -> None:
    for refused, name in ((found, tmp_path), (read, tmp_path / "langgraph.json")):
        with pytest.raises(ManifestError, match=r'; the smallest is .*"\./graph\.py:graph"'):
            refused(name)

    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_text("flow = builder.compile()\n")
    (tmp_path / "broken.py").write_text("def (:\n")
    said = set()
    for refused, name in ((found, tmp_path), (read, tmp_path / "langgraph.json")):
        with pytest.raises(ManifestError) as raised:
            refused(name)
        said.add(str(raised.value).partition(f"; this langgraph.json would serve {place}: ")[2])

    (tmp_path / "langgraph.json").write_text(said.pop())
    assert not said
    assert read(tmp_path / "langgraph.json").graphs == {"agent": f"./{place}:flow"}


def test_a_file_of_requirements_that_a_pyproject_toml_outweighs_is_noted(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("python-slugify==8.0.4\n")
    assert not application(tmp_path).notes

    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'a'\ndependencies = ['python-slugify']\n")
    (note,) = application(tmp_path).notes
    rule = "its requirements.txt is not installed: its pyproject.toml says what it needs"
    assert str(note) == f"dependencies[0]: .: {rule}"

    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'a'\ndynamic = ['dependencies']\n")
    assert not application(tmp_path).notes


CODE = {
    "compiled": ("graph = builder.compile()\n", "graph"),
    "annotated, in a condition": (
        "if True:\n    flow: Any = StateGraph(S).add_node(f).compile(name='x')\n",
        "flow",
    ),
    "an agent": ("agent = create_agent(model, tools).with_config({})\n", "agent"),
    "an agent of a module": ("helper = deepagents.create_deep_agent()\n", "helper"),
    "functional": ("@entrypoint()\nasync def work(x): ...\n", "work"),
    "the last of several": ("inner = a.compile()\nouter = b.compile()\n", "outer"),
    "none": ("builder = StateGraph(S)\n", "NAME"),
    "no Python": ("def (:\n", "NAME"),
}


@pytest.mark.parametrize(("text", "graph"), CODE.values(), ids=CODE)
def test_a_file_of_python_is_refused_with_the_langgraph_json_that_serves_it(
    tmp_path: Path, text: str, graph: str
) -> None:
    code = tmp_path / "my_graph.py"
    code.write_text(text)

    for refused in (found, read):
        with pytest.raises(ManifestError, match=r"my_graph\.py: file: is Python code; put this") as raised:
            refused(code)

    (tmp_path / "langgraph.json").write_text(str(raised.value).partition("name that: ")[2])
    assert read(tmp_path / "langgraph.json", check_code=False).graphs == {"agent": f"./my_graph.py:{graph}"}
    with pytest.raises(ManifestError, match=r"name what serves it: langgraph\.json is in its folder"):
        found(code)


@pytest.mark.parametrize("name", ["graph.ts", "agent.JS", "try.ipynb"])
def test_other_code_is_refused_by_what_it_is(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}")

    with pytest.raises(ManifestError, match=r"neither a LangGraphService .* graphs are Python here"):
        found(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("langgraph.json", "{", "application"),
        ("prod.json", '{"graphs": {}}', "application"),
        ("langgraph.yaml", "graphs: {}\n", "application"),
        ("service.yaml", "kind: LangGraphService\n", "manifest"),
        ("service.json", '{"kind": "LangGraphService"}', "manifest"),
        ("service.yaml", "a: [", "manifest"),
        ("missing.yaml", None, "manifest"),
    ],
)
def test_a_file_is_told_by_what_is_in_it(tmp_path: Path, name: str, text: str | None, kind: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)

    assert kind_of(tmp_path / name) == kind
