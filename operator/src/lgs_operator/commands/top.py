"""`lgs top`: all services of a cluster at a glance, those in need first, read again and again. From their
status, so that it takes no more rights than `kubectl get lgs`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lgs_crds.status import Status, status_before
from lgs_operator.commands.console import refused, visible
from lgs_operator.commands.in_words import UNSAID, age, to_know_of
from lgs_operator.commands.on_cluster import Everywhere, Namespaces, services_in

UNKNOWN: Final = "?"
"""What nobody has said: it is not zero."""
WIDE: Final = 1000
"""Columns, where the output is no terminal: no line is folded."""


def top(
    *,
    namespace: Namespaces = None,
    everywhere: Everywhere = False,
    every: Annotated[float, typer.Option(min=0.5, max=3600, help="Seconds between two looks.")] = 2.0,
    once: Annotated[
        bool, typer.Option("--once", help="Look once; so it is, too, where the output is no terminal.")
    ] = False,
) -> None:
    """Show the services of a cluster: replicas, queue, latency, what is wrong, and the last decision."""
    # What only this command needs takes a while to import.
    from lgs_operator.kube.errors import KubeError  # noqa: PLC0415

    if everywhere and namespace is not None:
        raise refused(ValueError(f"--namespace {namespace} is given with --all-namespaces: leave one out"))
    console = Console(highlight=False)
    looks_once = once or not console.is_terminal
    if not console.is_terminal:
        console.width = WIDE
    try:
        with suppress(KeyboardInterrupt):
            asyncio.run(show(console, namespace, everywhere=everywhere, every=None if looks_once else every))
    except KubeError as error:
        raise refused(error) from None


@dataclass(frozen=True, slots=True)
class Row:
    """A service, as it is shown."""

    namespace: str
    name: str
    ready: str
    in_use: str
    waiting: str
    oldest: str
    rate: str
    p95: str
    budget: str
    """What is left of the error budget; empty without objectives."""
    wrong: str
    decided: str
    urgency: tuple[int, int]
    """The greater, the further up."""


def rows(services: Iterable[Mapping[str, Any]], now: datetime) -> list[Row]:
    """The services as the API server has them: first those that don't serve, then those of which something is
    wrong, then those in which most waits. Pure."""
    found = [_row(each, now) for each in services]
    return sorted(found, key=lambda row: ([-each for each in row.urgency], row.namespace, row.name))


def _row(service: Mapping[str, Any], now: datetime) -> Row:
    meta, status = service["metadata"], status_before(service.get("status") or {})
    scaling = (service.get("spec") or {}).get("scaling") or {}
    inputs = status.scaling.inputs or {} if status.scaling is not None else {}
    bad = to_know_of(status.conditions)
    is_down = not status.conditions or any(each.type == "Ready" for each in bad)
    return Row(
        namespace=meta.get("namespace", ""),
        name=meta["name"],
        ready=f"{_number(status.ready_replicas)}/{_number(status.desired_replicas)}",
        in_use=f"{_number(inputs.get('slotsInUse'))}/{_number(inputs.get('slots'))}",
        waiting=_number(status.queue),
        oldest=_number(inputs.get("oldestSeconds"), "s"),
        rate=_number(inputs.get("arrivalsPerSecond")),
        p95=status.p95 or UNKNOWN,
        budget=_budget(status, (service.get("spec") or {}).get("observability") or {}),
        wrong=", ".join(f"{each.type}: {each.reason}" for each in bad) if status.conditions else UNSAID,
        decided=_decided(status, scaling.get("mode", "Auto"), now),
        urgency=(2 if is_down else 1 if bad else 0, status.queue or 0),
    )


def _decided(status: Status, mode: str, now: datetime) -> str:
    """How many replicas were wanted, when and why."""
    if mode != "Auto":
        return f"by scaling.mode {mode}"
    last = status.scaling
    if last is None or not last.reason:
        return ""
    since = age(last.decided_at, now)
    return f"{last.reason} ({since} ago)" if since else last.reason


def _budget(status: Status, observability: Mapping[str, Any]) -> str:
    if not observability.get("slo"):
        return ""
    return status.slo.budget_left or UNKNOWN if status.slo is not None else UNKNOWN


def _number(value: object, unit: str = "") -> str:
    return UNKNOWN if not isinstance(value, int | float) else f"{value:g}{unit}"


COLUMNS: Final[Mapping[str, Callable[[Row], str]]] = {
    "namespace": lambda row: row.namespace,
    "service": lambda row: row.name,
    "ready": lambda row: row.ready,
    "slots in use": lambda row: row.in_use,
    "waiting": lambda row: row.waiting,
    "oldest": lambda row: row.oldest,
    "runs/s": lambda row: row.rate,
    "p95": lambda row: row.p95,
    "error budget": lambda row: row.budget,
    "trouble": lambda row: row.wrong,
    "last decision": lambda row: row.decided,
}
_NUMBERS: Final = frozenset({"ready", "slots in use", "waiting", "oldest", "runs/s", "p95", "error budget"})
_TEXTS: Final = frozenset({"trouble", "last decision"})
_STYLES: Final = ("", "yellow", "bold red")
"""By urgency."""


def screen(found: Sequence[Row], now: datetime, *, with_namespace: bool, trouble: str = "") -> Group:
    """What is shown. `trouble`: why it is older than it should be."""
    # what nobody has takes no room from what all have
    with_budget = any(row.budget for row in found)
    left_out = {"namespace": not with_namespace, "error budget": not with_budget}
    shown = {name: cell for name, cell in COLUMNS.items() if not left_out.get(name)}
    table = Table(expand=False, box=None, pad_edge=False)
    for name in shown:
        table.add_column(name, justify="right" if name in _NUMBERS else "left", no_wrap=name not in _TEXTS)
    for row in found:
        # A service is a line, however narrow the terminal is: `lgs why` has the rest.
        cells = (Text(visible(cell(row)), no_wrap=True, overflow="ellipsis") for cell in shown.values())
        table.add_row(*cells, style=_STYLES[row.urgency[0]])
    head = f"{len(found)} LangGraphServices at {_clock(now)}" if found else "there is no LangGraphService"
    below = [Text(visible(trouble), style="bold red")] if trouble else []
    return Group(Text(head), table, *below) if found else Group(Text(head), *below)


def _clock(moment: datetime) -> str:
    return moment.astimezone().strftime("%H:%M:%S")


async def show(console: Console, namespace: str | None, *, everywhere: bool, every: float | None) -> None:
    """Every so many seconds until it is cancelled, or once (`every` is None). Raises `KubeError` for the
    first look; what could be read once stays when the API server is away."""
    from lgs_operator.kube.errors import KubeError  # noqa: PLC0415

    async with services_in(namespace, everywhere=everywhere) as read:
        now = datetime.now(UTC)
        found = rows(await read(), now)
        if every is None:
            console.print(screen(found, now, with_namespace=everywhere))
            return
        with Live(screen(found, now, with_namespace=everywhere), console=console, auto_refresh=False) as live:
            while True:
                await asyncio.sleep(every)
                trouble = ""
                try:
                    services = await read()
                except KubeError as error:
                    trouble = f"as it was at {_clock(now)}: {error}"
                else:
                    now = datetime.now(UTC)
                    found = rows(services, now)
                live.update(screen(found, now, with_namespace=everywhere, trouble=trouble), refresh=True)
