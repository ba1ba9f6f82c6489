"""`lgs simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lgs_crds import ManifestError
from lgs_crds import load as read_manifest
from lgs_operator.commands.console import refused
from lgs_operator.scaling import Policy
from lgs_operator.simulate.comparison import compare
from lgs_operator.simulate.loads import LoadError, Named, named
from lgs_operator.simulate.report import show
from lgs_operator.simulate.trace import read_trace


def simulate(
    manifest: Annotated[Path, typer.Argument(metavar="SERVICE.yaml", help="The LangGraphService manifest.")],
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
    """Play a load through the manifest's scaling law on a simulated clock, beside HPA, KEDA and Knative."""
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
        raise refused(error) from None
    outcomes = compare(policy, played, startup_seconds)
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"{policy.min_replicas} to {policy.max_replicas} replicas of {policy.slots} slots, "
        f"ready after {startup_seconds:g} s"
    )
    if policy.min_replicas == policy.max_replicas:
        console.print("minReplicas is maxReplicas: no law can change anything")
    show(console, played, outcomes)
