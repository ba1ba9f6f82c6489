"""The command `lgs-runtime`. Exit codes: 0 after a drain, 2 for a configuration or graph that can't work,
1 otherwise. The last line on stderr says why; if the user's code raised, its traceback stands above."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import structlog
import typer

from lgs_runtime import gc_tuning, logs, stopping
from lgs_runtime.dumps.command import dump_app
from lgs_runtime.errors import ConfigError, ConfigErrors, Conflict, InvalidRequest, NotFound, RuntimeFault
from lgs_runtime.settings import Settings
from lgs_runtime.settings_loader import check_file, load_settings
from lgs_runtime.variables import Variables

if TYPE_CHECKING:
    from lgs_runtime.backup import Count

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Serves LangGraph graphs with durable runs."
)
app.add_typer(dump_app, name="dump")
log = structlog.get_logger(__name__)


@app.callback()
def main() -> None:
    """Serves LangGraph graphs with durable runs."""


@app.command()
def serve(
    config: Annotated[
        Path | None, typer.Option(help="langgraph.json; default: the one in this folder.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; default 127.0.0.1.")] = None,
    port: Annotated[
        str | None, typer.Option(metavar="INTEGER", help="Port to listen on; default 8000.")
    ] = None,
    reuse_port: Annotated[
        bool, typer.Option("--reuse-port", help="Share the port with other processes.")
    ] = False,
) -> None:
    """Serves until SIGTERM or SIGINT, then drains."""
    stopping.end_at_once()
    log_again = _log_as(os.environ)
    try:
        settings = load_settings(config=config, host=host, port=port, reuse_port=reuse_port)
    except ConfigError as wrong:
        _fail(2, wrong)
    os.environ.update(settings.file_env)
    _live(settings, log_again)
    _exit(0)


class IfExists(Enum):
    """What to do with a thread that exists already. Not a Literal: an application may pin an older typer,
    which has no support for it."""

    RAISE = "raise"
    REPLACE = "replace"
    SKIP = "skip"


ConfigOption = Annotated[Path | None, typer.Option(help="langgraph.json; default: the one in this folder.")]


@app.command()
def check(
    config: ConfigOption = None,
    *,
    file_only: Annotated[
        bool,
        typer.Option("--file-only", help="What the file says alone: loads nothing, reads no variables."),
    ] = False,
) -> None:
    """Loads all that the configuration names, without a database, and prints what it is and what is wrong."""
    _log_as(os.environ)
    try:
        if file_only:
            check_file(config)
            _exit(0)
        settings = load_settings(config=config)
        os.environ.update(settings.file_env)
        from lgs_runtime.checking import examine  # noqa: PLC0415 - wrong settings are shown before slow imports

        found, errors = asyncio.run(examine(settings))
    except ConfigError as wrong:
        found, errors = [], [wrong]
    for line in found:
        print(line)  # noqa: T201
    if errors:
        _fail(2, ConfigErrors(errors))
    _exit(0)


@app.command("export")
def export_threads(
    file: Annotated[Path, typer.Argument(help="Where to write; .gz compresses.")],
    thread: Annotated[list[str] | None, typer.Option(help="A thread; may be repeated; default: all.")] = None,
    config: ConfigOption = None,
) -> None:
    """Writes threads with their checkpoints, versions, runs and audit trails to a file."""
    from lgs_runtime import backup  # noqa: PLC0415 - wrong settings are shown before the slow imports

    _backup(config, lambda settings: backup.export_to(settings, file, thread or ()))


@app.command("import")
def import_threads(
    file: Annotated[Path, typer.Argument(help="What `export` wrote.", exists=True, dir_okay=False)],
    if_exists: Annotated[
        IfExists, typer.Option(help="What to do with a thread that is there.")
    ] = IfExists.RAISE,
    config: ConfigOption = None,
) -> None:
    """Reads threads from a file, each whole or not at all; after a cut, do it again with --if-exists skip."""
    from lgs_runtime import backup  # noqa: PLC0415

    _backup(config, lambda settings: backup.import_from(settings, file, if_exists.value))


def _backup(config: Path | None, work: Callable[[Settings], Coroutine[Any, Any, Count]]) -> None:
    """Runs `work` with the settings of a replica. Exits with 2 for a request that can't work, 1 for a
    failure, 0 otherwise."""
    _log_as(os.environ)
    try:
        settings = load_settings(config=config)
        os.environ.update(settings.file_env)
        count = asyncio.run(work(settings))
    except (ConfigError, InvalidRequest, NotFound, Conflict) as wrong:
        _fail(2, wrong)
    except (RuntimeFault, OSError) as failed:
        _fail(1, failed)
    counts = f"threads: {count.done}, skipped: {count.skipped}"
    if count.failed:
        _exit(1, f"{counts}, failed: {len(count.failed)}: {' '.join(count.failed)}")
    _exit(0, counts)


def _log_as(env: Mapping[str, str]) -> Callable[[], None]:
    """Sets up logging as the environment says; returns a function that does so again."""
    values = Variables(env)
    level = values.text("LOG_LEVEL", "INFO").upper()
    try:
        if level not in logs.LEVELS:
            raise ConfigError(f"LOG_LEVEL: {level}: must be one of {', '.join(logs.LEVELS)}")
        as_json = values.flag("LOG_JSON", False) if values.text("LOG_JSON", "") else None
    except ConfigError as wrong:
        _fail(2, wrong)
    return logs.configure(level, as_json=as_json)


def _live(settings: Settings, log_again: Callable[[], None]) -> None:
    """Runs a replica from start to end; returns if it ended well, and exits the process otherwise."""
    with gc_tuning.paused():
        # Wrong settings are shown before slow imports.
        from lgs_runtime import event_loop, opening, server  # noqa: PLC0415
        from lgs_runtime.api.custom.application import AppFailed  # noqa: PLC0415

    try:
        event_loop.run(server.run(settings, log_again))
    except opening.Stopped as asked:
        log.info("replica.stopped", reason=str(asked))
    except ConfigError as wrong:
        _fail(2, wrong)
    except (opening.StartFailed, AppFailed) as failed:
        _fail(1, failed)
    except Exception as raised:
        log.exception("replica.failed")
        _exit(1, f"{type(raised).__name__}: {raised}")


def _fail(code: int, fault: Exception) -> NoReturn:
    """Prints the traceback of the user's code, if it raised, then one line for each error, and exits."""
    faults = fault.errors if isinstance(fault, ConfigErrors) else [fault]
    _exit(code, *map(str, faults), above=fault.shown if isinstance(fault, RuntimeFault) else "")


def _exit(code: int, *last: str, above: str = "") -> NoReturn:
    if above:
        print(above, file=sys.stderr)  # noqa: T201
    for line in last:
        print(line.replace("\n", " "), file=sys.stderr)  # noqa: T201
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    app()
