"""`lgs init` writes a manifest that is valid as it stands, with nothing to be typed that can be found out."""

from __future__ import annotations

import json
import re
import shlex
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from lgs_crds import LangGraphService, load
from lgs_operator.application import read
from lgs_operator.cli import app
from lgs_operator.scaffold.facts import IN_STOCK, Facts, facts_of, variables_in
from lgs_operator.scaffold.manifest import manifest

GRAPH = "from langgraph.graph import StateGraph\nimport helper\ngraph = StateGraph(dict).compile()\n"


def repository(folder: Path, *, name: str = "langgraph.json", **content: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "graph.py").write_text(GRAPH)
    (folder / "helper.py").write_text("import json\n")
    path = folder / name
    path.write_text(json.dumps({"dependencies": ["."], "graphs": {"agent": "./graph.py:graph"}} | content))
    return path


def facts(path: Path) -> Facts:
    return facts_of(read(path))


def written(path: Path) -> tuple[LangGraphService, str]:
    done = CliRunner().invoke(app, ["init", str(path)])
    assert done.exit_code == 0, done.output
    file = path.parent / "service.yaml"
    return load(file, on_cluster=True), file.read_text()


def test_a_small_application_goes_into_a_config_map_with_the_command_that_makes_it(tmp_path: Path) -> None:
    path = repository(tmp_path / "support")
    (path.parent / "prompt.md").write_text("Be kind.")
    (path.parent / "README.md").write_text("")

    service, text = written(path)

    assert service.metadata.name == "support"
    assert service.spec.image is None
    assert service.spec.source is not None
    assert service.spec.source.config_map == "support-code"
    files = "--from-file=graph.py --from-file=helper.py --from-file=langgraph.json --from-file=prompt.md"
    assert files in text


def test_commands_can_be_pasted_whatever_files_and_folders_are_called(tmp_path: Path) -> None:
    path = repository(tmp_path / "my shop", env="the keys.env")
    (path.parent / "the keys.env").write_text("A=1")
    made = CliRunner().invoke(app, ["init", str(path)])
    built = CliRunner().invoke(app, ["dockerfile", str(path), "--output", str(path.parent / "a Dockerfile")])

    said = [shlex.split(line) for line in made.output.splitlines()[1:]]
    file, folder = str(path.parent / "service.yaml"), str(path.parent)
    assert said == [["lgs", "up", file], ["lgs", "validate", "--cluster", file]]
    command = shlex.split(built.output.splitlines()[-1])
    assert command == ["docker", "build", "-f", f"{folder}/a Dockerfile", "-t", "my-shop:latest", folder]
    assert "'--from-env-file=the keys.env'" in Path(file).read_text()


def test_a_file_of_variables_that_is_not_there_is_named_as_missing(tmp_path: Path) -> None:
    _, without = written(repository(tmp_path / "support"))
    _, named = written(repository(tmp_path / "shop", env=".env"))

    assert "# langgraph.json names no variables." in without
    assert "# langgraph.json names .env, which is not there." in named


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"dependencies": [".", "langchain-openai"]}, "the stock image lacks langchain-openai"),
        ({"dockerfile_lines": ["RUN true"]}, "dockerfile_lines of langgraph.json is for one"),
        ({"dependencies": ["./lib"]}, "code is in lib, and a ConfigMap has no folders"),
    ],
)
def test_what_a_config_map_can_not_hold_goes_into_an_image_and_says_why(
    tmp_path: Path, change: dict[str, Any], why: str
) -> None:
    (tmp_path / "app" / "lib").mkdir(parents=True)

    service, text = written(repository(tmp_path / "app", **change))

    assert service.spec.image == "registry.example.com/app:0.1.0"
    assert f"An image, because {why}." in text
    assert "lgs build langgraph.json --tag registry.example.com/app:0.1.0 --push" in text
    assert "registry.example.com stands for yours" in text


def test_what_the_runtime_brings_and_needs_is_in_the_stock_image(tmp_path: Path) -> None:
    names = [re.split(r"[^\w-]", each)[0] for each in requires("lgs-runtime") or () if "extra ==" not in each]
    assert set(names) < IN_STOCK

    path = repository(tmp_path)
    (tmp_path / "helper.py").write_text("import opentelemetry.trace\nfrom lgs_runtime.cache import cached\n")
    assert facts(path).why_image is None


def test_exported_sessions_are_no_part_of_an_application(tmp_path: Path) -> None:
    path = repository(tmp_path)
    for name in ("thread.ndjson", "sessions.ndjson.gz", "questions.ndjson"):
        (tmp_path / name).write_text("{}")

    assert facts(path).files == ("graph.py", "helper.py", "langgraph.json", "questions.ndjson")


def test_an_import_a_requirement_a_folder_or_too_much_code_asks_for_an_image(tmp_path: Path) -> None:
    path = repository(tmp_path)
    assert facts(path).why_image is None

    (tmp_path / "helper.py").write_text("from tavily import TavilyClient\n")
    assert facts(path).why_image == "the stock image lacks tavily"
    (tmp_path / "helper.py").write_text("")

    (tmp_path / "requirements.txt").write_text(
        "# none\nlanggraph>=1\npandas[excel]==2 ; python_version > '3'\n"
    )
    assert facts(path).why_image == "the stock image lacks pandas"
    (tmp_path / "requirements.txt").unlink()

    (tmp_path / "agent").mkdir()
    (tmp_path / "agent" / "tools.py").write_text("")
    assert facts(path).why_image == "code is in agent, and a ConfigMap has no folders"
    (tmp_path / "agent" / "tools.py").unlink()

    (tmp_path / "data.json").write_text("x" * 1_000_000)
    assert "and a ConfigMap holds 1 MiB" in str(facts(path).why_image)


def test_variables_come_from_the_example_and_their_values_stay_where_they_are(tmp_path: Path) -> None:
    path = repository(tmp_path, env=".env")
    (tmp_path / ".env").write_text("OPENAI_API_KEY=sk-hush\nDATABASE_URI=postgres://me:hush@db/x\n")

    service, text = written(path)

    assert service.spec.pod.env_from == [{"secretRef": {"name": f"{service.metadata.name}-env"}}]
    assert "--from-env-file=.env" in text
    assert "#   OPENAI_API_KEY DATABASE_URI" in text
    assert "DATABASE_URI of it has no effect on a cluster" in text
    assert "hush" not in text

    (tmp_path / ".env.example").write_text("export TAVILY_API_KEY=\n")
    assert facts(path).variables == ("TAVILY_API_KEY",)


@pytest.mark.parametrize("env", ["../.env", "../../.env", ".env.prod"])
def test_a_file_of_variables_that_is_not_there_yet_is_named_as_the_application_does(
    tmp_path: Path, env: str
) -> None:
    path = repository(tmp_path / "apps" / "agent", env=env)
    example = (path.parent / env).resolve().parent / ".env.example"
    example.write_text("OPENAI_API_KEY=\n")

    _, text = written(path)

    assert f"--from-env-file={env}  # a copy with the values" in text
    shown = f"{env.rpartition('/')[0]}/.env.example".lstrip("/")
    assert f"# The variables of {shown}, from a Secret that this makes:" in text


@pytest.mark.parametrize("graph", ["./src/agent/graph.py", "src/agent/graph.py", "agent.graph", "src.agent"])
def test_the_code_that_asks_for_an_image_is_that_of_a_graph(tmp_path: Path, graph: str) -> None:
    for name in ("eval/run.py", "src/legacy/old.py", "src/agent/graph.py", "src/agent/__init__.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("graph = None\n")

    why = facts(repository(tmp_path, graphs={"agent": f"{graph}:graph"})).why_image

    assert why == "code is in src/agent, and a ConfigMap has no folders"


def test_a_package_that_is_required_and_imported_is_named_once(tmp_path: Path) -> None:
    path = repository(tmp_path, dependencies=[".", "langchain-openai"])
    (tmp_path / "helper.py").write_text("import langchain_openai\n")

    assert facts(path).why_image == "the stock image lacks langchain-openai"


def test_names_are_found_in_a_file_of_variables() -> None:
    text = "A=1\n  export B = 2\n# C=3\n# just words\nnot a variable\nA=4\n1D=x\n"

    assert variables_in(text) == ("A", "B", "C")


def test_the_registry_is_that_of_the_forge_the_repository_is_pushed_to(tmp_path: Path) -> None:
    path = repository(tmp_path, dependencies=[".", "pandas"])
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "Support Desk"\nversion = "1.4.0"\n')
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text('[remote "origin"]\n  url = git@github.com:Acme/desk.git\n')

    assert facts(path).image == "ghcr.io/acme/support-desk:1.4.0"


def test_an_existing_file_is_left_as_it_is(tmp_path: Path) -> None:
    path = repository(tmp_path)
    (tmp_path / "service.yaml").write_text("mine\n")

    done = CliRunner().invoke(app, ["init", str(path)])

    assert done.exit_code == 2
    assert "service.yaml: is there already and is left as it is; name another with --output" in done.output
    assert (tmp_path / "service.yaml").read_text() == "mine\n"


def test_a_manifest_that_is_written_elsewhere_leads_back(tmp_path: Path) -> None:
    path = repository(tmp_path / "apps" / "my agent")
    (tmp_path / "deploy").mkdir()

    done = CliRunner().invoke(app, ["init", str(path), "-o", str(tmp_path / "deploy" / "agent.yaml")])

    assert done.exit_code == 0, done.output
    source = load(tmp_path / "deploy" / "agent.yaml").spec.source
    assert source is not None
    assert source.folder == "../apps/my agent"


def test_another_name_of_the_file_is_told_to_the_runtime(tmp_path: Path) -> None:
    service, _ = written(repository(tmp_path, name="langgraph.prod.json"))

    assert [(each.name, each.value) for each in service.spec.pod.env] == [
        ("LGS_CONFIG", "langgraph.prod.json")
    ]


@pytest.mark.parametrize("has_auth", [True, False])
def test_who_may_call_it_is_said(tmp_path: Path, has_auth: bool) -> None:
    (tmp_path / "auth.py").write_text("auth = None\n")
    path = repository(tmp_path, **({"auth": {"path": "./auth.py:auth"}} if has_auth else {}))

    text = manifest(facts(path))

    assert ("Everybody who reaches it may call it" in text) is not has_auth
    assert yaml.safe_load(text)["kind"] == "LangGraphService"
