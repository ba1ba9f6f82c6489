"""Writes the Dockerfile of a plan. Pure. Every builder accepts it, including Docker's classic one: it has no
mounts and no here-documents.

Its image runs as user 10001 and works on a read-only root file system, like the stock runtime.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from lgs_operator.images.plan import Plan

PYTHON: Final = "/opt/lgs/bin/python"
PIP_CONFIG: Final = "/etc/lgs/pip.conf"
RUNTIME: Final = "lgs-runtime"
"""Named in every installation, so that its own requirements take part and a conflict with
them is reported."""
UV: Final = "uv"


def dockerfile(plan: Plan) -> str:
    """The text of the Dockerfile."""
    blocks = [block for block in _blocks(plan) if block]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _blocks(plan: Plan) -> Iterator[list[str]]:
    name = plan.relative(plan.application.path)
    yield [
        f"# Made by `lgs dockerfile` from {name}: make it anew rather than edit it.",
        "ARG BASE_IMAGE=" + plan.base_image,
        "FROM ${BASE_IMAGE}",
        "USER root",
        f"WORKDIR {plan.inside(plan.application.folder)}",
    ]
    yield _titled("From dockerfile_lines.", list(plan.application.image.dockerfile_lines))
    if plan.pip_config:
        yield [_copy(plan.relative(plan.pip_config), PIP_CONFIG)]
    yield _locked(plan) if plan.lock else _requirements(plan)
    yield ["# The code, after what it needs: a change of it installs nothing again.", *_code(plan)]
    yield _packages(plan)
    yield _environment(plan)
    yield _end(plan)


def _requirements(plan: Plan) -> list[str]:
    if not (plan.requirements or plan.files):
        return []
    copied = [_copy(plan.relative(file), str(plan.inside(file))) for file in plan.files]
    wanted = [*plan.requirements, *(word for file in plan.files for word in ("-r", str(plan.inside(file))))]
    return [
        "# What the application needs; the runtime's own requirements hold.",
        *copied,
        _install(plan, wanted),
    ]


def _locked(plan: Plan) -> list[str]:
    assert plan.lock is not None
    lock, exported = plan.lock, PurePosixPath("/tmp/locked")
    files = [lock.root / "uv.lock", *(folder / "pyproject.toml" for folder in lock.projects)]
    copied = [
        _copy(plan.relative(file), str(exported / file.relative_to(lock.root).as_posix())) for file in files
    ]
    package = ["--package", lock.package] if lock.package else []
    export = [
        "uv", "export", "--quiet", "--frozen", "--no-dev", "--no-hashes", "--no-emit-project",
        "--no-emit-workspace", "--project", str(exported), *package, "-o", "/tmp/locked.txt",
    ]  # fmt: skip
    install = _uv_install(["-r", "/tmp/locked.txt"])
    steps = [
        _pip("install", "--quiet", UV),
        shlex.join(export),
        install,
        _pip("uninstall", "--quiet", "--yes", UV),
    ]
    return [
        "# What uv.lock pins; the runtime's own requirements hold.",
        *copied,
        _run([*steps, "rm -r /tmp/locked*"]),
    ]


def _code(plan: Plan) -> list[str]:
    return [_copy(plan.relative(part), str(plan.inside(part))) for part in plan.parts]


def _packages(plan: Plan) -> list[str]:
    lines = []
    if plan.late_files:
        wanted = [word for file in plan.late_files for word in ("-r", str(plan.inside(file)))]
        lines.append(_install(plan, wanted))
    if plan.unready:
        lines.append(_install(plan, _editable(plan, plan.unready)))
    if plan.ready:
        lines.append(_run([_with_config(plan, _pip("install", "--no-deps", *_editable(plan, plan.ready)))]))
    return _titled(
        "The application's own packages, in place: a graph's file and its module are the same.", lines
    )


def _editable(plan: Plan, folders: tuple[object, ...]) -> list[str]:
    return [word for folder in folders for word in ("-e", str(plan.inside(folder)))]  # type: ignore[arg-type]


def _environment(plan: Plan) -> list[str]:
    values = {"LGS_CONFIG": str(plan.inside(plan.application.path)), "LGS_DATA_DIR": "/app/.lgs"}
    if plan.import_path:
        values["PYTHONPATH"] = ":".join(map(str, plan.import_path))
    return ["ENV " + " ".join(f"{name}={shlex.quote(value)}" for name, value in values.items())]


def _end(plan: Plan) -> list[str]:
    # Importing the server once checks that nothing installed beside it keeps it from starting.
    steps = [f"{PYTHON} -m compileall -q {plan.place} >/dev/null || true"]
    steps.append(f'{PYTHON} -c "import lgs_runtime.opening, lgs_runtime.server"')
    steps.append(f"{PYTHON} /opt/lgs/share/replaced.py")
    if plan.removed_tools:
        # pip last, since it removes the others.
        tools = sorted(plan.removed_tools, key=lambda tool: tool == "pip")
        steps.append(_pip("uninstall", "--quiet", "--yes", *tools))
    return [_run(steps), "USER 10001:10001"]


def _install(plan: Plan, wanted: list[str]) -> str:
    if plan.installer == "pip":
        return _run([_with_config(plan, _pip("install", RUNTIME, *wanted))])
    return _run(
        [_pip("install", "--quiet", UV), _uv_install(wanted), _pip("uninstall", "--quiet", "--yes", UV)]
    )


def _uv_install(wanted: list[str]) -> str:
    return shlex.join(
        ["uv", "pip", "install", "--no-cache", "--compile-bytecode", "--python", PYTHON, RUNTIME, *wanted]
    )


def _pip(action: str, *arguments: str) -> str:
    flags = (
        ["--no-cache-dir", "--root-user-action=ignore"]
        if action == "install"
        else ["--root-user-action=ignore"]
    )
    return shlex.join([PYTHON, "-m", "pip", action, *flags, *arguments])


def _with_config(plan: Plan, command: str) -> str:
    return f"PIP_CONFIG_FILE={PIP_CONFIG} {command}" if plan.pip_config else command


def _run(steps: list[str]) -> str:
    return "RUN " + " \\\n && ".join(steps)


def _copy(source: str, target: str) -> str:
    """A COPY instruction, in the JSON form if a path has spaces."""
    folder = f"{target}/" if source == "." else target
    if " " in source or " " in target:
        return f'COPY ["{source}", "{folder}"]'
    return f"COPY {source} {folder}"


def _titled(title: str, lines: list[str]) -> list[str]:
    return [f"# {title}", *lines] if lines else []
