"""`lgs validate`: a manifest or a `langgraph.json`, with all problems at once."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final

import typer

from lgs_crds import ManifestError
from lgs_crds import load as read_manifest
from lgs_operator.application import read as read_application
from lgs_operator.application.check import KEYS, SERVER_KEYS, check_graphs
from lgs_operator.application.graph_names import check_names, config_of
from lgs_operator.application.target import found, kind_of
from lgs_operator.application.warmup import check_warmup
from lgs_operator.application.without_effect import without_effect
from lgs_operator.commands.console import Named, refused, say, warn
from lgs_operator.local.errors import LocalError
from lgs_operator.local.interpreter import at_hand
from lgs_operator.local.notices import in_words
from lgs_operator.local.worker_log import SERIOUS, record_of

OF_LGS: Final = frozenset({"config.env_file_missing", "config.folder_missing"})
"""What the runtime logs of a file that `lgs` says by itself."""


def validate(
    file: Named = None,
    *,
    cluster: Annotated[bool, typer.Option(help="Also the rules that hold on a cluster only.")] = False,
    load: Annotated[
        bool, typer.Option(help="Also load every graph, in the application's own environment.")
    ] = False,
    python: Annotated[
        Path | None,
        typer.Option(help="Python, or environment, to load them in.", show_default="the application's own"),
    ] = None,
) -> None:
    """Check a manifest or a langgraph.json without running it."""
    try:
        path = found(file)
        checked = (
            _manifest(path, python, cluster=cluster)
            if kind_of(path) == "manifest"
            else _application(path, python)
        )
        message, folder, config = checked
        # Loading checks the sections, too.
        if config.is_file() and not load:
            _sections(config, python)
    except (ManifestError, LocalError) as error:
        raise refused(error) from None
    if load:
        _load(path, folder, config, python)
    say(message)


def _sections(config: Path, python: Path | None, told: Collection[str] = ()) -> None:
    """What the runtime says of the file, which knows the rules of its sections, but for the fields of which
    all is `told`."""
    config = _as_the_runtime_names(config)
    runtime = at_hand(config.parent, python, os.environ)
    if runtime is None:
        warn(f"{config}: note: there is no lgs-runtime here, which checks {', '.join(SERVER_KEYS)}")
        return
    command = [*runtime.command, "check", "--file-only", "--config", str(config)]
    _checked(command, dict(os.environ), config.parent, config, told)


def _checked(
    command: Sequence[str], env: Mapping[str, str], folder: Path, config: Path, told: Collection[str] = ()
) -> None:
    """Runs a check of the runtime: what it logs is said in words, but for what `lgs` says of this file."""
    done = subprocess.run(
        command, env={**env, "LOG_JSON": "true"}, cwd=folder, check=False, stderr=subprocess.PIPE, text=True
    )
    of = f"{config}: "
    for line in done.stderr.splitlines():
        record = record_of(line)
        if record is None:
            if line.removeprefix(of).partition(": ")[0] not in told:
                warn(line)
        elif record.get("level") in SERIOUS and not (
            record["event"] in OF_LGS or record.get("where") == str(config)
        ):
            warn(f"{of}note: {in_words(record).removeprefix(of)}")
    if done.returncode:
        raise typer.Exit(done.returncode)


def _manifest(path: Path, python: Path | None, *, cluster: bool) -> tuple[str, Path, Path]:
    service = read_manifest(path, on_cluster=cluster)
    source = service.spec.source
    folder = path.absolute().parent / (source.folder if source and source.folder else ".")
    message = f"{path}: {service.metadata.name} is valid"
    # Where the manifest names no graphs, the file beside the code does, and is what the service reads.
    beside, graphs = config_of(service.spec, folder), tuple(service.spec.graphs)
    if not graphs and beside.is_file():
        message, graphs = f"{message}\n{_read(beside, python)}", tuple(read_application(beside).graphs)
    problems, notes = check_warmup(service.spec, folder, graphs)
    problems = [*check_names(service.spec, graphs), *problems]
    if source and source.folder:
        problems = [*check_graphs(service.spec.graphs, folder), *problems]
    warn(*(f"{path}: note: {note}" for note in [*notes, *without_effect(service.spec)]))
    if problems:
        raise ManifestError(str(path), tuple(problems))
    return message, folder, beside


def _application(path: Path, python: Path | None) -> tuple[str, Path, Path]:
    return _read(path, python), path.parent, path


def _read(path: Path, python: Path | None) -> str:
    try:
        application = read_application(path)
    except ManifestError as error:
        told = {problem.path for problem in error.problems}
        # Of a file that can't be read there is no more to say.
        if any(name.startswith(tuple(KEYS)) for name in told):
            with suppress(typer.Exit):
                _sections(path, python, told)
        raise
    warn(*(f"{path}: note: {note}" for note in application.notes))
    warn(*(f"{path}: not for lgs build: {problem}" for problem in application.unbuildable))
    return f"{path}: valid; its graphs: {', '.join(application.graphs)}"


def _load(path: Path, folder: Path, config: Path, python: Path | None) -> None:
    from lgs_operator.local.service import Options, read  # noqa: PLC0415

    try:
        service = read(Options(path, python=python))
    except (ManifestError, LocalError, OSError) as error:
        raise refused(error) from None
    _checked([*service.command, "check"], service.env, folder, _as_the_runtime_names(config))


def _as_the_runtime_names(config: Path) -> Path:
    """The file in the words of the runtime's problems: absolute, without `..`."""
    return Path(os.path.normpath(config.absolute()))
