"""No secret gets into an image, whatever builds it, nor what the repository's `.dockerignore` leaves out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lgs_operator.application import read
from lgs_operator.images.builder import BuildError, Request, build, build_command, chosen, environment
from lgs_operator.images.context import stage
from lgs_operator.images.ignore import Ignored, as_dockerignore, ignored
from lgs_operator.images.plan import plan


def repository(folder: Path, *names: str, env: str = "settings/prod.vars") -> Path:
    for name in (*names, "graph.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("graph = None\n")
    path = folder / "langgraph.json"
    path.write_text(json.dumps({"dependencies": ["."], "graphs": {"a": "./graph.py:graph"}, "env": env}))
    return path


def staged(path: Path, target: Path) -> tuple[set[str], list[str]]:
    secrets = stage(plan(read(path)), target)
    files = {str(file.relative_to(target)) for file in target.rglob("*") if not file.is_dir()}
    return files, secrets


def test_what_may_hold_a_secret_is_left_out_and_named(tmp_path: Path) -> None:
    secret = (".env", "deep/.env.local", "settings/prod.vars", ".netrc")
    path = repository(tmp_path / "app", *secret, ".env.example", ".git/config", "prompts/system.md")
    (tmp_path / "app" / ".dockerignore").write_text("!.env\n!**/.env.local\n!settings/prod.vars\n")

    files, named = staged(path, tmp_path / "context")

    assert files == {".env.example", ".dockerignore", "graph.py", "langgraph.json", "prompts/system.md"}
    assert set(named) >= set(secret)


def test_environments_and_caches_are_left_out(tmp_path: Path) -> None:
    path = repository(
        tmp_path / "app",
        "env/pyvenv.cfg",
        "env/lib/x.py",
        ".venv/x.py",
        "a/__pycache__/x.pyc",
        "node_modules/x.js",
    )

    files, _ = staged(path, tmp_path / "context")

    assert files == {"graph.py", "langgraph.json"}


def test_what_the_dockerfile_names_is_there_whatever_is_ignored(tmp_path: Path) -> None:
    path = repository(tmp_path / "app", "requirements.txt")
    (tmp_path / "app" / ".dockerignore").write_text("*\n!graph.py\n")

    files, _ = staged(path, tmp_path / "context")

    assert files == {"graph.py", "langgraph.json", "requirements.txt"}


def test_the_copies_can_be_read_by_the_user_of_the_image(tmp_path: Path) -> None:
    path = repository(tmp_path / "app", "run.sh")
    (tmp_path / "app" / "graph.py").chmod(0o600)
    (tmp_path / "app" / "run.sh").chmod(0o700)

    staged(path, tmp_path / "context")

    assert (tmp_path / "context" / "graph.py").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "context" / "run.sh").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    ("patterns", "path", "out"),
    [
        ("data", "data/a/b.csv", True),
        ("data", "other/data", False),
        ("**/data", "other/data/a", True),
        ("*.md\n!README.md", "README.md", False),
        ("*.md\n!README.md", "CHANGES.md", True),
        ("*.md", "docs/a.md", False),
        ("/docs/", "docs/a.md", True),
        ("docs/**/*.md", "docs/a/b/c.md", True),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("[ab].txt", "b.txt", True),
        ("[!ab].txt", "b.txt", False),
        ("# comment\n\n", "comment", False),
        ("docs\n!docs/keep.md", "docs/keep.md", False),
        ("!docs\ndocs", "docs/a", True),
        (".", "anything", False),
    ],
)
def test_patterns_mean_what_docker_means_by_them(patterns: str, path: str, out: bool) -> None:
    assert ignored([("", patterns)], ()).leaves_out(path) is out


def test_patterns_of_a_folder_below_are_relative_to_it() -> None:
    rules = ignored([("apps/agent", "data")], ["apps/.env.prod[1]"])

    assert rules.leaves_out("apps/agent/data/x")
    assert not rules.leaves_out("data/x")
    assert rules.is_secret("apps/.env.prod[1]")


def test_the_dockerignore_that_is_written_leaves_the_same_out() -> None:
    written = ignored([("", as_dockerignore(["vars/prod"]))], ())

    for path in (".env", "a/.env.local", "vars/prod", ".venv/x", ".env.example", "graph.py", "b/.env.sample"):
        assert written.leaves_out(path) is Ignored(secrets=(*Ignored().secrets, "vars/prod")).leaves_out(path)


def test_each_builder_gets_a_command_that_it_knows(tmp_path: Path) -> None:
    request = Request("example.com/a:1", ("A=b",))
    common = ["--build-arg", "A=b", "--file", "Dockerfile", "--tag", "example.com/a:1", "context"]

    assert build_command("docker", request, Path("Dockerfile"), Path("context")) == [
        "docker",
        "build",
        *common,
    ]
    assert build_command("podman", request, Path("Dockerfile"), Path("context")) == [
        "podman",
        "build",
        *common,
    ]
    layered = ["buildah", "build", "--layers", *common]
    assert build_command("buildah", request, Path("Dockerfile"), Path("context")) == layered


def test_a_build_that_fails_says_what_it_was_built_on_and_how_to_choose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "podman").write_text('#!/bin/sh\n[ "$1" = version ] || exit 125\n')
    (programs / "podman").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    said: list[str] = []

    with pytest.raises(BuildError, match=r"podman build: exit code 125: .*LGS_RUNTIME_IMAGE"):
        build(plan(read(repository(tmp_path / "app"))), Request("a:1", builder="podman"), said.append)

    assert any("on ghcr.io/langgraphservice/runtime:0.1.0-py3.13" in line for line in said)


def test_a_builder_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(BuildError, match="--builder: buildah: is not installed"):
        chosen("buildah")
    with pytest.raises(BuildError, match="one of docker, buildah, podman must be installed"):
        chosen(None)


@pytest.mark.parametrize(
    ("program", "has_buildx", "given", "added"),
    [
        ("docker", False, {}, {"DOCKER_BUILDKIT": "0"}),
        ("docker", True, {}, {}),
        ("docker", False, {"DOCKER_BUILDKIT": "1"}, {}),
        ("podman", False, {}, {}),
    ],
)
def test_docker_without_buildx_builds_in_the_classic_way_unless_the_user_says_otherwise(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    program: str,
    has_buildx: bool,
    given: dict[str, str],
    added: dict[str, str],
) -> None:
    docker = tmp_path / "docker"
    docker.write_text(f"#!/bin/sh\nexit {0 if has_buildx else 1}\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert environment(program, given) == {**given, **added}
