"""An image from a `langgraph.json`: what it needs comes before its code; every key is honoured or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lgs_crds import ManifestError
from lgs_operator.application import read
from lgs_operator.application.image_keys import LEFT_OUT
from lgs_operator.application.poetry import requirements, versions
from lgs_operator.application.pythons import python_for
from lgs_operator.cli import app
from lgs_operator.images.dockerfile import dockerfile
from lgs_operator.images.plan import Plan, plan, stock_image

GRAPH = "graph = None\n"
PACKAGE = """
[project]
name = "agent"
version = "1"
requires-python = ">=3.11,<3.13"
dependencies = ["langgraph>=1.2", "httpx ; python_version > '3'"]
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
"""


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def planned(folder: Path, asked: str | None = None, **content: Any) -> Plan:
    write(folder, **{"graph.py": GRAPH})
    document = {"dependencies": ["."], "graphs": {"agent": "./graph.py:graph"}} | content
    document = {name: value for name, value in document.items() if value is not None}
    (folder / "langgraph.json").write_text(json.dumps(document))
    return plan(read(folder / "langgraph.json"), asked)


def lines(made: Plan) -> list[str]:
    return dockerfile(made).replace(" \\\n && ", " && ").splitlines()


def position(text: list[str], word: str) -> int:
    found = [index for index, line in enumerate(text) if word in line]
    assert found, f"{word} is not in\n" + "\n".join(text)
    return found[0]


def test_requirements_are_installed_before_the_code_is_there(tmp_path: Path) -> None:
    write(tmp_path, **{"pyproject.toml": PACKAGE})

    text = lines(planned(tmp_path, dependencies=[".", "langchain-openai>=1"]))

    installed = text[position(text, "langgraph>=1.2")]
    assert "'langchain-openai>=1'" in installed
    assert """'httpx ; python_version > '"'"'3'"'"''""" in installed
    assert position(text, "langgraph>=1.2") < position(text, "COPY . /app/")
    assert position(text, "COPY . /app/") < position(text, "--no-deps -e /app")


def test_the_runtime_is_named_in_every_installation_so_that_its_requirements_hold(tmp_path: Path) -> None:
    write(tmp_path, **{"requirements.txt": "langgraph==0.6\n"})

    for installer in ("pip", "uv"):
        text = lines(planned(tmp_path, pip_installer=installer))
        assert " lgs-runtime -r /app/requirements.txt" in text[position(text, "-r /app/requirements.txt")]


def test_the_image_runs_as_nobody_in_particular_with_nothing_to_install_by(tmp_path: Path) -> None:
    text = lines(planned(tmp_path))

    assert text[-1] == "USER 10001:10001"
    assert "--yes setuptools wheel pip" in text[-2]
    assert "ENV LGS_CONFIG=/app/langgraph.json LGS_DATA_DIR=/app/.lgs" in text


@pytest.mark.parametrize(
    ("kept", "removed"), [(True, None), (["pip"], "--yes setuptools wheel"), (False, "wheel pip")]
)
def test_tools_for_packages_are_kept_as_the_file_says(tmp_path: Path, kept: Any, removed: str | None) -> None:
    last = lines(planned(tmp_path, keep_pkg_tools=kept))[-2]

    assert last.endswith(removed) if removed else "uninstall" not in last


def test_lines_of_the_file_come_first_as_root(tmp_path: Path) -> None:
    text = lines(planned(tmp_path, dockerfile_lines=["RUN apt-get update", "ENV A=b"]))

    assert position(text, "USER root") < position(text, "RUN apt-get update")
    assert text[position(text, "RUN apt-get update") + 1] == "ENV A=b"
    assert position(text, "ENV A=b") < position(text, "COPY")


def test_a_configuration_of_pip_is_used_by_pip_since_uv_does_not_read_it(tmp_path: Path) -> None:
    write(tmp_path, **{"pip.conf": "[global]\n"})

    text = lines(planned(tmp_path, dependencies=["httpx"], pip_config_file="pip.conf"))

    assert "COPY pip.conf /etc/lgs/pip.conf" in text
    assert text[position(text, "lgs-runtime httpx")].startswith("RUN PIP_CONFIG_FILE=/etc/lgs/pip.conf ")


def test_a_token_in_the_configuration_of_pip_is_refused_without_being_shown(tmp_path: Path) -> None:
    write(tmp_path, **{"pip.conf": "[global]\nindex-url = https://me:hush@example.com/simple\n"})

    with pytest.raises(
        ManifestError, match=r"pip_config_file: pip\.conf: must hold no user or token"
    ) as refused:
        planned(tmp_path, pip_config_file="pip.conf")
    assert "hush" not in str(refused.value)


def test_a_package_without_a_build_system_is_put_on_the_import_path_not_installed(tmp_path: Path) -> None:
    write(
        tmp_path, **{"pyproject.toml": '[project]\nname = "agent"\nversion = "1"\ndependencies = ["httpx"]\n'}
    )

    text = lines(planned(tmp_path))

    assert position(text, "lgs-runtime httpx") < position(text, "COPY . /app/")
    assert not any(" -e " in line for line in text)


@pytest.mark.parametrize(
    "file",
    [
        {"setup.py": "from setuptools import setup\nsetup()\n"},
        {"pyproject.toml": '[tool.poetry]\nname = "agent"\n[build-system]\nrequires = ["poetry-core"]\n'},
        {"pyproject.toml": PACKAGE.replace('version = "1"', 'version = "1"\ndynamic = ["dependencies"]')},
    ],
    ids=["setup.py", "poetry", "dynamic"],
)
def test_what_only_a_build_system_knows_is_installed_with_the_code(
    tmp_path: Path, file: dict[str, str]
) -> None:
    write(tmp_path, **file)

    text = lines(planned(tmp_path))

    assert position(text, "COPY . /app/") < position(text, "lgs-runtime -e /app")


def test_requirements_of_poetry_are_read_where_no_build_system_would_read_them(tmp_path: Path) -> None:
    project = (
        '[tool.poetry]\nname = "agent"\n[tool.poetry.dependencies]\npython = "^3.11"\nlangmem = "^0.0.5"\n'
    )
    write(tmp_path, **{"pyproject.toml": project})

    text = lines(planned(tmp_path))

    assert "lgs-runtime 'langmem>=0.0.5,<0.0.6'" in text[position(text, "langmem")]
    assert position(text, "langmem") < position(text, "COPY . /app/")


@pytest.mark.parametrize(
    ("poetry", "pip"),
    [
        ("^1.2.3", ">=1.2.3,<2"), ("^0.2", ">=0.2,<0.3"), ("^0.0.3", ">=0.0.3,<0.0.4"), ("^0", ">=0,<1"),
        ("~1.2.3", ">=1.2.3,<1.3"), ("~1", ">=1,<2"), ("~=1.2", "~=1.2"), ("*", ""), ("1.4", "==1.4"),
        ("1.*", "==1.*"), (">=1, <3", ">=1,<3"), ("^1.0.0rc1", ">=1.0.0rc1,<2"),
    ],
)  # fmt: skip
def test_versions_of_poetry_mean_the_same_to_pip(poetry: str, pip: str) -> None:
    assert versions(poetry) == pip


def test_what_poetry_says_beside_the_version_is_kept() -> None:
    given = {
        "a": {"version": "^1", "extras": ["x", "y"], "markers": "python_version > '3'"},
        "b": {"git": "https://e.com/b", "tag": "v1"},
        "c": {"version": "1", "optional": True},
        "d": {"path": "../d"},
    }

    assert requirements(given) == ("a[x,y]>=1,<2 ; python_version > '3'", "b @ git+https://e.com/b@v1")


def test_requirements_that_name_other_files_wait_for_the_code(tmp_path: Path) -> None:
    write(tmp_path, **{"requirements.txt": "-r base.txt\n", "base.txt": "httpx\n"})

    text = lines(planned(tmp_path))

    assert position(text, "COPY . /app/") < position(text, "-r /app/requirements.txt")


def test_folders_beside_the_application_are_copied_where_its_paths_lead(tmp_path: Path) -> None:
    app = tmp_path / "apps" / "agent"
    write(tmp_path, **{"libs/shared/setup.py": "", "libs/common/__init__.py": "", "secrets/key": ""})

    text = lines(planned(app, dependencies=[".", "../../libs/shared", "../../libs/common"]))

    assert [line for line in text if line.startswith("COPY")] == [
        "COPY apps/agent /app/apps/agent",
        "COPY libs/common /app/libs/common",
        "COPY libs/shared /app/libs/shared",
    ]
    assert "WORKDIR /app/apps/agent" in text
    assert any("LGS_CONFIG=/app/apps/agent/langgraph.json" in line for line in text)
    assert any("PYTHONPATH=/app/libs" in line for line in text), "libs/common is imported as common"


def test_a_folder_that_is_a_package_itself_keeps_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "my_agent"
    write(folder, **{"__init__.py": ""})

    text = lines(planned(folder))

    assert "COPY . /app/my_agent/" in text
    assert any("PYTHONPATH=/app" in line for line in text)


def test_the_members_of_a_workspace_that_it_needs_are_installed_from_the_repository(tmp_path: Path) -> None:
    app = tmp_path / "apps" / "agent"
    member = '[project]\nname = "{}"\nversion = "1"\ndependencies = {}\n[build-system]\nrequires = []\n'
    write(
        tmp_path,
        **{
            "pyproject.toml": '[tool.uv.workspace]\nmembers = ["apps/*", "libs/*"]\n',
            "libs/shared/pyproject.toml": member.format("shared_lib", '["orjson"]'),
            "libs/unused/pyproject.toml": member.format("unused", "[]"),
            "apps/agent/pyproject.toml": member.format("agent", '["shared-lib", "tool"]')
            + "[tool.uv.sources]\nshared-lib = {workspace = true}\n"
            + 'tool = {git = "https://e.com/t", rev = "v1"}\n',
        },
    )

    text = lines(planned(app))

    assert "lgs-runtime 'tool @ git+https://e.com/t@v1' orjson" in text[position(text, "orjson")]
    assert "--no-deps -e /app/apps/agent -e /app/libs/shared" in text[position(text, "--no-deps")]
    assert not any("unused" in line for line in text)


def test_a_source_that_leads_nowhere_is_refused_not_taken_from_the_index(tmp_path: Path) -> None:
    sources = '[tool.uv.sources]\nhttpx = {path = "./wheels/httpx.whl"}\nlanggraph = {index = "ours"}\n'
    write(tmp_path, **{"pyproject.toml": PACKAGE + sources})

    with pytest.raises(ManifestError, match=r"tool\.uv\.sources\.httpx: leads to no folder"):
        planned(tmp_path)

    write(tmp_path, **{"pyproject.toml": PACKAGE + sources.replace("httpx =", "unused =")})
    assert planned(tmp_path).indexed == ("langgraph",)


def test_a_lock_of_uv_says_what_is_installed_where_the_file_asks_for_it(tmp_path: Path) -> None:
    write(tmp_path, **{"pyproject.toml": PACKAGE, "uv.lock": "version = 1\n"})

    text = lines(planned(tmp_path, dependencies=None, source={"kind": "uv", "root": "."}))

    exported = text[position(text, "uv export")]
    assert "--frozen --no-dev" in exported
    assert "lgs-runtime -r /tmp/locked.txt" in exported
    assert not any("langgraph>=1.2" in line for line in text)
    assert position(text, "uv export") < position(text, "COPY . /app/") < position(text, "--no-deps -e /app")


def test_a_lock_that_is_not_there_and_dependencies_beside_one_are_both_told(tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as refused:
        planned(tmp_path, source={"kind": "uv", "root": "./nowhere"})

    assert [problem.path for problem in refused.value.problems] == [
        "source.root",
        "source.root",
        "dependencies",
    ]


@pytest.mark.parametrize(
    ("content", "image"),
    [
        ({"python_version": "3.12"}, "ghcr.io/langgraphservice/runtime:0.1.0-py3.12"),
        (
            {"python_version": "3.11", "image_distro": "bookworm"},
            "ghcr.io/langgraphservice/runtime:0.1.0-py3.11-bookworm",
        ),
        ({"base_image": "example.com/mine:2"}, "example.com/mine:2"),
        ({}, "ghcr.io/langgraphservice/runtime:0.1.0-py3.13"),
    ],
)
def test_the_image_it_is_built_on_is_the_stock_one_for_its_python_or_yours(
    tmp_path: Path, content: dict[str, Any], image: str
) -> None:
    assert planned(tmp_path, **content).base_image == image
    assert planned(tmp_path, "example.com/asked:1", **content).base_image == "example.com/asked:1"


@pytest.mark.parametrize(
    ("allowed", "pinned", "version"),
    [
        (">=3.11", None, "3.13"),
        (">=3.11,<3.13", None, "3.12"),
        ("~=3.12.0", None, "3.12"),
        ("==3.11.*", None, "3.11"),
        (">=3.10,<4.0", None, "3.13"),
        (">=3.11,<3.13.1", None, "3.13"),
        (">=3.11", "3.11.9", "3.11"),
        (">=3.11", "3.14", "3.13"),
    ],
)
def test_the_python_is_found_out(tmp_path: Path, allowed: str, pinned: str | None, version: str) -> None:
    write(tmp_path, **{"pyproject.toml": f'[project]\nname = "a"\nrequires-python = "{allowed}"\n'})
    if pinned:
        write(tmp_path, **{".python-version": f"{pinned}\n"})

    assert python_for(tmp_path, None) == version


def test_the_python_is_found_out_from_poetry_too(tmp_path: Path) -> None:
    write(tmp_path, **{"pyproject.toml": '[tool.poetry.dependencies]\npython = ">=3.9,<3.13"\n'})

    assert python_for(tmp_path, None) == "3.12"


def test_the_stock_image_of_a_registry_with_a_port_keeps_it() -> None:
    assert stock_image("localhost:5000/lgs", "3.12") == "localhost:5000/lgs:py3.12"
    assert stock_image("localhost:5000/lgs:1", "3.12") == "localhost:5000/lgs:1-py3.12"


UNBUILDABLE: dict[str, dict[str, Any]] = {
    "base_image": {"base_image": "langchain/langgraph-api"},
    "image_distro": {"image_distro": "wolfi", "dockerfile_lines": ["RUN true"]},
    "node_version": {"node_version": "20"},
    "python_version": {"python_version": "3.99"},
    "ui": {"ui": {"a": "./a.tsx"}},
    "ui_config": {"ui_config": {"shared": ["react"]}},
}


@pytest.mark.parametrize("key", LEFT_OUT)
def test_what_no_image_can_have_is_refused_by_its_name_and_can_be_left_out(tmp_path: Path, key: str) -> None:
    with pytest.raises(ManifestError, match=f"{key}: "):
        planned(tmp_path, **UNBUILDABLE[key])

    assert CliRunner().invoke(app, ["dockerfile", "--without", key, str(tmp_path)]).exit_code == 0


def test_a_key_that_can_not_be_left_out_is_refused_by_its_name(tmp_path: Path) -> None:
    planned(tmp_path)

    done = CliRunner().invoke(app, ["dockerfile", "--without", "dependencies", str(tmp_path)])

    assert done.exit_code == 2
    assert f"--without: dependencies: must be one of {', '.join(LEFT_OUT)}" in done.stderr
