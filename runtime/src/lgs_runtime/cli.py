"""The command `lgs-runtime`. Exit codes: 0 after a drain, 2 for a configuration or graph that can't work,
else 1; the last line on stderr says why."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import structlog
import typer
import uvloop

from lgs_runtime import garbage, logs
from lgs_runtime.errors import ConfigError, Conflict, InvalidRequest, NotFound, RuntimeFault
from lgs_runtime.settings import Settings, load_settings

if TYPE_CHECKING:
    from lgs_runtime.backup import Count

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Serves LangGraph graphs with durable runs."
)
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
    port: Annotated[int | None, typer.Option(help="Port to listen on; default 8000.")] = None,
    reuse_port: Annotated[
        bool, typer.Option("--reuse-port", help="Share the port with other processes.")
    ] = False,
) -> None:
    """Serves until SIGTERM or SIGINT, then drains."""
    logs.configure()
    try:
        settings = load_settings(config=config, host=host, port=port, reuse_port=reuse_port)
        os.environ.update(settings.file_env)
        code, last = _live(settings)
    except ConfigError as wrong:
        code, last = 2, str(wrong)
    _exit(code, last)


class IfExists(Enum):
    """What becomes of a thread that is there. Not a Literal: an application may hold an older typer."""

    RAISE = "raise"
    REPLACE = "replace"
    SKIP = "skip"


ConfigOption = Annotated[Path | None, typer.Option(help="langgraph.json; default: the one in this folder.")]


@app.command("export")
def export_threads(
    file: Annotated[Path, typer.Argument(help="Where to write; .gz compresses.")],
    thread: Annotated[list[str] | None, typer.Option(help="A thread; may be repeated; default: all.")] = None,
    config: ConfigOption = None,
) -> None:
    """Writes threads with their checkpoints, versions, runs and audit trails to a file."""
    from lgs_runtime import backup  # noqa: PLC0415 - wrong settings are told before the slow imports

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
    """Runs `work` under the settings of a replica; exit code 2 for what can't work, 1 for what failed."""
    logs.configure()
    try:
        settings = load_settings(config=config)
        os.environ.update(settings.file_env)
        count = asyncio.run(work(settings))
    except (ConfigError, InvalidRequest, NotFound, Conflict) as wrong:
        _exit(2, str(wrong))
    except (RuntimeFault, OSError) as failed:
        _exit(1, str(failed))
    _exit(0, f"threads: {count.done}, skipped: {count.skipped}")


def _live(settings: Settings) -> tuple[int, str]:
    """One life of a replica: the exit code and the last words."""
    with garbage.ignored():
        from lgs_runtime import opening, server  # noqa: PLC0415 - wrong settings are told before slow imports

    # Not closed on purpose: closing waits for threads, and a node that was handed back may still sit in one.
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    try:
        runner.run(server.run(settings))
    except opening.StartFailed as failed:
        return 1, str(failed)
    except opening.Stopped as asked:
        log.info("replica.stopped", reason=str(asked))
    except ConfigError:
        raise
    except Exception as raised:
        log.exception("replica.failed")
        return 1, f"{type(raised).__name__}: {raised}"
    return 0, ""


def _exit(code: int, last: str) -> NoReturn:
    if last:
        print(last.replace("\n", " "), file=sys.stderr)  # noqa: T201
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    app()
