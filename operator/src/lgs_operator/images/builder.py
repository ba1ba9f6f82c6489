"""Builds and pushes an image with whichever program is installed: docker, buildah or podman."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lgs_operator.images.context import stage
from lgs_operator.images.dockerfile import dockerfile
from lgs_operator.images.plan import Plan

BUILDERS: Final = ("docker", "buildah", "podman")


class BuildError(Exception):
    """A build can't begin or has failed; the message names value, rule and way out."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a build."""

    tag: str
    build_args: tuple[str, ...] = ()
    push: bool = False
    builder: str | None = None
    fresh: bool = False
    """Whether to use nothing from earlier builds."""


def build(plan: Plan, request: Request, say: Callable[[str], None]) -> None:
    """Builds the image, and pushes it if asked to. Raises `BuildError`."""
    program = chosen(request.builder)
    with tempfile.TemporaryDirectory(prefix="lgs-build-") as folder:
        context, file = Path(folder) / "context", Path(folder) / "Dockerfile"
        context.mkdir()
        file.write_text(dockerfile(plan), "utf-8")
        secrets = stage(plan, context)
        for name in secrets:
            say(f"{name}: left out: it may hold secrets; give them to the service by a Secret")
        say(f"{request.tag} is built by {program} from {plan.root}, on {plan.base_image}")
        _run(build_command(program, request, file, context), environment(program, os.environ))
    if request.push:
        _run(push_command(program, request.tag), os.environ)


def chosen(asked: str | None) -> str:
    """The first builder that is installed and answers. Raises `BuildError`."""
    candidates = BUILDERS if asked is None else (asked,)
    for program in candidates:
        if shutil.which(program) and _answers(program, "version"):
            return program
    if asked is not None:
        raise BuildError(f"--builder: {asked}: is not installed, or does not answer `{asked} version`")
    rule = f"one of {', '.join(BUILDERS)} must be installed and answer"
    raise BuildError(f"builder: none: {rule}; `lgs dockerfile` writes the Dockerfile for any other")


def build_command(program: str, request: Request, file: Path, context: Path) -> list[str]:
    """The command that builds."""
    arguments = [word for argument in request.build_args for word in ("--build-arg", argument)]
    fresh = ["--no-cache"] if request.fresh else []
    # buildah caches layers only on request; docker and podman do so by default.
    layers = ["--layers"] if program == "buildah" else []
    return [
        program,
        "build",
        *layers,
        *fresh,
        *arguments,
        "--file",
        str(file),
        "--tag",
        request.tag,
        str(context),
    ]


def push_command(program: str, tag: str) -> list[str]:
    """The command that pushes."""
    return [program, "push", tag]


def environment(program: str, env: Mapping[str, str]) -> dict[str, str]:
    """The environment variables of the build: Docker without buildx has only the classic builder."""
    if program == "docker" and "DOCKER_BUILDKIT" not in env and not _answers("docker", "buildx", "version"):
        return {**env, "DOCKER_BUILDKIT": "0"}
    return dict(env)


def _answers(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _run(command: Sequence[str], env: Mapping[str, str]) -> None:
    done = subprocess.run(command, env=dict(env), check=False)
    if done.returncode:
        way_out = (
            "what it said stands above; --base-image and LGS_RUNTIME_IMAGE name what to build on: the stock"
            " runtime, which images/runtime/Dockerfile of LangGraphService makes"
        )
        raise BuildError(f"{' '.join(command[:2])}: exit code {done.returncode}: {way_out}")
