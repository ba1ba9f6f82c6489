"""The `lgs` command: run a manifest on this machine, check one, try the scaling law on a load."""

from __future__ import annotations

import asyncio
import logging
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Annotated

import structlog
import typer
from rich.console import Console

from lgs_crds import ManifestError
from lgs_crds import load as read_manifest
from lgs_operator.scaling import Policy
from lgs_operator.simulate.comparison import compare
from lgs_operator.simulate.loads import LoadError, Named, named
from lgs_operator.simulate.report import show
from lgs_operator.simulate.trace import read_trace

app = typer.Typer(
    help="Run LangGraph applications from one manifest.", no_args_is_help=True, pretty_exceptions_enable=False
)
Manifest = Annotated[Path, typer.Argument(metavar="SERVICE.yaml", help="The LangGraphService manifest.")]


@app.command()
def up(
    manifest: Manifest,
    *,
    port: Annotated[int, typer.Option(help="Port that the replicas share; 0 takes a free one.")] = 8123,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    source: Annotated[Path | None, typer.Option(help="Folder of the graph's code.")] = None,
    database_uri: Annotated[
        str | None, typer.Option(help="postgres://… to keep sessions there instead of SQLite.")
    ] = None,
    history: Annotated[Path | None, typer.Option(help="Append each decision to this file (JSON).")] = None,
) -> None:
    """Run the service here: worker processes for replicas, scaled by load, replaced when files change."""
    # The other commands need no HTTP client, which is a third of what there is to import.
    from lgs_operator.local.service import LocalError, Options  # noqa: PLC0415
    from lgs_operator.local.supervisor import Supervisor  # noqa: PLC0415
    from lgs_operator.local.view import View  # noqa: PLC0415

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    options = Options(manifest.resolve(), host, port, source, database_uri, history)
    try:
        asyncio.run(Supervisor(options, View()).run())
    except* (ManifestError, LocalError, OSError) as group:
        raise _refused(*group.exceptions) from None


@app.command()
def validate(
    manifest: Manifest,
    cluster: Annotated[bool, typer.Option(help="Also the rules that hold on a cluster only.")] = False,
) -> None:
    """Check a manifest without running it."""
    try:
        service = read_manifest(manifest, on_cluster=cluster)
    except ManifestError as error:
        raise _refused(error) from None
    Console(highlight=False).print(f"{manifest}: {service.metadata.name} is valid")


@app.command()
def simulate(
    manifest: Manifest,
    *,
    trace: Annotated[
        Path | None,
        typer.Option(help="CSV with a TIMESTAMP column, one line a run.", show_default="the built-in load"),
    ] = None,
    load: Annotated[Named | None, typer.Option(help="Built-in load.", show_default="spike")] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            help="Runs a second at the top of a built-in load.", show_default="two thirds of maxReplicas"
        ),
    ] = None,
    run_seconds: Annotated[
        float,
        typer.Option(min=0.01, max=86400, help="Mean length of a run, if the trace has no GeneratedTokens."),
    ] = 2.0,
    startup_seconds: Annotated[
        float, typer.Option(min=0, max=3600, help="What a replica takes until it is ready.")
    ] = 20.0,
    seed: Annotated[
        int, typer.Option(help="Of arrivals and lengths; the same seed gives the same runs.")
    ] = 1,
) -> None:
    """Play a load through the manifest's scaling law on a simulated clock, beside the HPA and Knative."""
    try:
        policy = Policy.of(read_manifest(manifest).spec)
        if trace is None:
            played = named(load or Named.SPIKE, policy, run_seconds=run_seconds, rate=rate, seed=seed)
        elif load is None and rate is None:
            played = read_trace(trace, run_seconds=run_seconds, seed=seed)
        else:
            raise LoadError(
                "--trace is given with --load or --rate; these are for a built-in load: leave them out"
            )
    except (ManifestError, LoadError, OSError) as error:
        raise _refused(error) from None
    outcomes = compare(policy, played, startup_seconds)
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"{policy.min_replicas} to {policy.max_replicas} replicas of {policy.slots} slots, "
        f"ready after {startup_seconds:g} s"
    )
    if policy.min_replicas == policy.max_replicas:
        console.print("minReplicas is maxReplicas: no law can change anything")
    show(console, played, outcomes)


@app.command()
def version() -> None:
    """Print the version."""
    Console(highlight=False).print(version_of("lgs-operator"))


def _refused(*errors: BaseException) -> typer.Exit:
    """Says why on stderr; the command ends with code 2."""
    for error in errors:
        Console(stderr=True, highlight=False, soft_wrap=True, markup=False).print(str(error))
    return typer.Exit(2)


if __name__ == "__main__":
    app()
