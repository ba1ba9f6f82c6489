"""`lgs validate`: a manifest or a `langgraph.json`, with all problems at once."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from lgs_crds import ManifestError
from lgs_crds import load as read_manifest
from lgs_operator.application import read as read_application
from lgs_operator.application.check import SERVER_KEYS, check_graphs
from lgs_operator.application.graph_names import check_names, config_of
from lgs_operator.application.target import found, kind_of
from lgs_operator.application.warmup import check_warmup
from lgs_operator.commands.console import Named, refused, say, warn
from lgs_operator.local.errors import LocalError
from lgs_operator.local.interpreter import at_hand
from lgs_operator.local.notices import in_words
from lgs_operator.local.worker_log import SERIOUS, record_of


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
        checked = _manifest(path, cluster) if kind_of(path) == "manifest" else _application(path)
        message, folder, config = checked
        if config.is_file():
            _sections(config, python)
    except (ManifestError, LocalError) as error:
        raise refused(error) from None
    if load:
        _load(path, folder, python)
    say(message)


def _sections(config: Path, python: Path | None) -> None:
    """What the runtime says of the file, which knows the rules of its sections."""
    runtime = at_hand(config.absolute().parent, python, os.environ)
    if runtime is None:
        warn(f"{config}: note: there is no lgs-runtime here, which checks {', '.join(SERVER_KEYS)}")
        return
    command = [*runtime.command, "check", "--file-only", "--config", str(config)]
    _checked(command, dict(os.environ), config.absolute().parent, of_lgs={str(config)})


def _checked(
    command: Sequence[str], env: Mapping[str, str], folder: Path, of_lgs: Collection[str] = ()
) -> None:
    """Runs a check of the runtime: what it logs is said in words, but for what `lgs` says of these files."""
    done = subprocess.run(
        command, env={**env, "LOG_JSON": "true"}, cwd=folder, check=False, stderr=subprocess.PIPE, text=True
    )
    for line in done.stderr.splitlines():
        record = record_of(line)
        if record is None:
            warn(line)
        elif record.get("level") in SERIOUS and not (
            record["event"] == "config.env_file_missing" or record.get("where") in of_lgs
        ):
            warn(f"note: {in_words(record)}")
    if done.returncode:
        raise typer.Exit(done.returncode)


def _manifest(path: Path, cluster: bool) -> tuple[str, Path, Path]:
    service = read_manifest(path, on_cluster=cluster)
    source = service.spec.source
    folder = path.absolute().parent / (source.folder if source and source.folder else ".")
    message = f"{path}: {service.metadata.name} is valid"
    # Where the manifest names no graphs, the file beside the code does, and is what the service reads.
    beside, graphs = config_of(service.spec, folder), tuple(service.spec.graphs)
    if not graphs and beside.is_file():
        message, graphs = f"{message}\n{_read(beside)}", tuple(read_application(beside).graphs)
    problems, notes = check_warmup(service.spec, folder, graphs)
    problems = [*check_names(service.spec, graphs), *problems]
    if source and source.folder:
        problems = [*check_graphs(service.spec.graphs, folder), *problems]
    warn(*(f"{path}: note: {note}" for note in notes))
    if problems:
        raise ManifestError(str(path), tuple(problems))
    return message, folder, beside


def _application(path: Path) -> tuple[str, Path, Path]:
    return _read(path), path.parent, path


def _read(path: Path) -> str:
    application = read_application(path)
    warn(*(f"{path}: note: {note}" for note in application.notes))
    warn(*(f"{path}: not for lgs build: {problem}" for problem in application.unbuildable))
    return f"{path}: valid; its graphs: {', '.join(application.graphs)}"


def _load(path: Path, folder: Path, python: Path | None) -> None:
    from lgs_operator.local.service import Options, read  # noqa: PLC0415

    try:
        service = read(Options(path, python=python))
    except (ManifestError, LocalError, OSError) as error:
        raise refused(error) from None
    _checked([*service.command, "check"], service.env, folder)
