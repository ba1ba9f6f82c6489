"""`lgs simulate`."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from lgs_crds import ManifestError, Problem
from lgs_crds import load as read_manifest
from lgs_operator.application.target import found, kind_of
from lgs_operator.commands.console import refused
from lgs_operator.scaling import Policy
from lgs_operator.simulate import drawing
from lgs_operator.simulate.advice import Advice, Target, advise
from lgs_operator.simulate.candidates import compared, varied
from lgs_operator.simulate.comparison import Outcome, Players
from lgs_operator.simulate.conditions import Conditions, Fault, fault_of
from lgs_operator.simulate.front import Point, front
from lgs_operator.simulate.loads import Load, LoadError, Named, load_of, named, times
from lgs_operator.simulate.report import as_json, show, show_advice, show_front
from lgs_operator.simulate.trace import ALL, Part, read_trace


@dataclass(frozen=True, slots=True)
class _Played:
    """What was asked for, of one load."""

    outcomes: list[Outcome]
    points: list[Point] | None
    advice: Advice | None


def simulate(
    manifest: Annotated[
        Path | None,
        typer.Argument(
            metavar="[SERVICE.yaml]",
            help="The LangGraphService manifest; default: the one in this folder.",
            show_default=False,
        ),
    ] = None,
    *,
    trace: Annotated[
        Path | None,
        typer.Option(
            help="CSV or JSON lines (also gzipped), a line for each run: when it came, and how long it took.",
            show_default="the built-in load",
        ),
    ] = None,
    skip_hours: Annotated[float, typer.Option(min=0, help="Of the trace.")] = 0.0,
    hours: Annotated[
        float | None, typer.Option(min=0.01, help="Of the trace, after those.", show_default="all")
    ] = None,
    load: Annotated[
        str | None,
        typer.Option(metavar="NAME", help=f"Built-in load: {', '.join(Named)}.", show_default="spike"),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            help="Runs a second at the top of a built-in load.",
            show_default="what keeps two thirds of maxReplicas busy",
        ),
    ] = None,
    times_: Annotated[int, typer.Option("--times", help="Each run so many times.")] = 1,
    run_seconds: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            max=86400,
            help="Mean length of a run, if the trace does not say it.",
            show_default="2, of diurnal 30",
        ),
    ] = None,
    startup_seconds: Annotated[
        float, typer.Option(min=0, max=3600, help="What a replica takes until it is ready.")
    ] = 20.0,
    fault: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help=f"What goes wrong: {', '.join(Fault)}; may be repeated."),
    ] = None,
    fixed: Annotated[
        list[int] | None,
        typer.Option(min=1, max=10000, help="Also so many replicas all the time; may be repeated."),
    ] = None,
    fronts: Annotated[
        bool, typer.Option("--front", help="Each law with other values of the number that its user sets.")
    ] = False,
    want: Annotated[
        str | None,
        typer.Option(help="Which numbers of the manifest give e.g. 'p99 wait 5s' at the least cost."),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Write the picture there, as SVG.", dir_okay=False)
    ] = None,
    as_json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    seed: Annotated[
        int, typer.Option(help="Of arrivals and lengths; the same seed gives the same runs.")
    ] = 1,
) -> None:
    """Play a load through the manifest's scaling law on a simulated clock, beside those of others."""
    try:
        policy = Policy.of(read_manifest(_scaling(manifest)).spec)
        # The laws beside ours know no service without a replica.
        policy = replace(policy, min_replicas=max(1, policy.min_replicas))
        part = Part(skip_hours, hours)
        if trace is None:
            played = _built_in(policy, load, rate, part, run_seconds=run_seconds, seed=seed)
        elif load is None and rate is None:
            played = read_trace(trace, run_seconds=run_seconds, seed=seed, part=part)
        else:
            raise LoadError(
                "--trace is given with --load or --rate; these are for a built-in load: leave them out"
            )
        played = times(played, times_, seed)
        conditions = Conditions(startup_seconds, frozenset(fault_of(each) for each in fault or ()), seed)
        target = None if want is None else Target.parse(want)
        if picture is not None and picture.suffix != ".svg":
            raise LoadError(f"--picture is {picture}; it must end with .svg")
        found = _play(policy, played, conditions, fixed or [], with_front=fronts, target=target)
        if picture is not None:
            _draw(picture, played, found)
    except (ManifestError, LoadError, OSError) as error:
        raise refused(error) from None
    if as_json_:
        result = as_json(played, policy, found.outcomes, found.points, found.advice)
        typer.echo(json.dumps(result, indent=2))
        return
    _print(policy, played, conditions, found)


def _scaling(named: Path | None) -> Path:
    """The manifest that is meant. Raises `ManifestError`, also for a `langgraph.json`."""
    path = found(named)
    if kind_of(path) == "application" and path.is_file():
        rule = "says nothing of scaling; name a manifest (`lgs init` writes one for it)"
        raise ManifestError(str(path), (Problem("manifest", rule),))
    return path


def _built_in(
    policy: Policy, load: str | None, rate: float | None, part: Part, *, run_seconds: float | None, seed: int
) -> Load:
    if part != ALL:
        raise LoadError("--hours and --skip-hours are for a --trace: leave them out")
    return named(load_of(load or Named.SPIKE), policy, run_seconds=run_seconds, rate=rate, seed=seed)


def _play(
    policy: Policy,
    load: Load,
    conditions: Conditions,
    constants: list[int],
    *,
    with_front: bool,
    target: Target | None,
) -> _Played:
    with Players(load, conditions, os.cpu_count() or 1) as players:
        outcomes = players.play(compared(policy, constants))
        points = front(players.play(varied(policy, constants))) if with_front else None
        advice = None if target is None else advise(policy, target, players.play)
    return _Played(outcomes, points, advice)


def _draw(path: Path, load: Load, found: _Played) -> None:
    path.write_text(drawing.timeline(load, found.outcomes), encoding="utf-8")
    if found.points is not None:
        path.with_name(f"{path.stem}-front.svg").write_text(drawing.front(found.points), encoding="utf-8")


def _print(policy: Policy, load: Load, conditions: Conditions, found: _Played) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"{policy.min_replicas} to {policy.max_replicas} replicas of {policy.slots} slots, "
        f"ready after {conditions.startup_seconds:g} s"
    )
    if policy.min_replicas == policy.max_replicas:
        console.print("minReplicas is maxReplicas: no law can change anything")
    for line in (load.title, *conditions.words()):
        console.print(escape(line))
    show(console, load, found.outcomes)
    if found.points is not None:
        show_front(console, found.points)
    if found.advice is not None:
        show_advice(console, found.advice)
