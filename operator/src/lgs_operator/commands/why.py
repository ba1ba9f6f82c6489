"""`lgs why`: how many replicas a service of a cluster has and why, what its conditions say, and what happened
to it last. From its status and Events, so that it takes no more rights than `kubectl describe`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from lgs_crds.status import Condition, Status, status_before
from lgs_operator.commands.console import refused, say
from lgs_operator.commands.in_words import UNSAID, age, ago, to_know_of
from lgs_operator.commands.on_cluster import Namespace, NoSuchService, service_of

SHOWN_EVENTS: Final = 15


def why(
    service: Annotated[str, typer.Argument(help="Name of the service.", show_default=False)],
    *,
    namespace: Namespace = None,
    events: Annotated[
        int, typer.Option(min=0, max=1000, help="How many of its last Events are shown.")
    ] = SHOWN_EVENTS,
) -> None:
    """Say why a service has the replicas that it has, what its conditions say, and what happened last."""
    # What only this command needs takes a while to import.
    from lgs_operator.kube.errors import KubeError  # noqa: PLC0415

    try:
        found, happened = asyncio.run(_read(service, namespace))
    except (NoSuchService, KubeError) as error:
        raise refused(error) from None
    say(*explanation(service, found, happened, datetime.now(UTC), shown=events))


def explanation(
    name: str,
    service: Mapping[str, Any],
    events: Iterable[Mapping[str, Any]],
    now: datetime,
    *,
    shown: int = SHOWN_EVENTS,
) -> Iterator[str]:
    """The lines: the service and its Events as the API server has them. What the operator has not said yet is
    named as such. Pure."""
    status = status_before(service.get("status") or {})
    generation = int(service["metadata"].get("generation", 0))
    if not status.conditions:
        yield f"{name}: {UNSAID}: is there one that serves its namespace, and spec.operatorClass?"
        return
    yield f"{name}: {_replicas(status)}"
    if (status.observed_generation or 0) < generation:
        yield f"  the manifest's last change (generation {generation}) has not been acted on yet"
    yield from _decision(service, status, now)
    yield from _conditions(status.conditions, now)
    yield from _happened(events, now, shown)


def _replicas(status: Status) -> str:
    said = f"{status.ready_replicas or 0} of {status.desired_replicas or 0} replicas take work"
    if status.queue is not None:
        said += f", {status.queue} runs wait"
    return f"{said}, p95 {status.p95}" if status.p95 else said


def _decision(service: Mapping[str, Any], status: Status, now: datetime) -> Iterator[str]:
    mode = (service.get("spec") or {}).get("scaling", {}).get("mode", "Auto")
    decided = status.scaling
    if decided is None or not decided.reason:
        yield f"replicas: nothing is decided yet (scaling.mode: {mode})"
        return
    wanted = "" if decided.desired_replicas is None else f"{decided.desired_replicas} "
    if mode == "Auto":
        yield f"replicas: {wanted}wanted, decided {ago(decided.decided_at, now)}"
    else:
        when = ago(decided.decided_at, now)
        yield f"replicas: {wanted}by scaling.mode {mode}; the law's own view, {when}:"
    yield f"  {decided.reason}"


def _conditions(conditions: Sequence[Condition], now: datetime) -> Iterator[str]:
    bad = to_know_of(conditions)
    yield "conditions: nothing to say" if not bad else "conditions to know of:"
    for each in bad:
        for_long = age(each.last_transition_time, now)
        since = "" if for_long is None else f" for {for_long}"
        yield f"  {each.type} is {each.status}{since}, {each.reason}: {each.message}"


def _happened(events: Iterable[Mapping[str, Any]], now: datetime, shown: int) -> Iterator[str]:
    newest = sorted(events, key=_last, reverse=True)[:shown]
    if newest:
        yield "what happened, the newest first:"
    for each in newest:
        times = f", {each['count']} times" if (each.get("count") or 1) > 1 else ""
        yield f"  {ago(_last(each), now)}{times}: {each.get('reason', '')}: {each.get('message', '')}"


def _last(event: Mapping[str, Any]) -> str:
    """When it was seen last; empty where it does not say so."""
    return event.get("lastTimestamp") or event.get("eventTime") or event.get("firstTimestamp") or ""


async def _read(name: str, namespace: str | None) -> tuple[Mapping[str, Any], list[dict[str, Any]]]:
    from lgs_operator.kube.kinds import EVENT, SERVICE_OF_OURS  # noqa: PLC0415

    async with service_of(name, namespace) as (cluster, where, found):
        of = f"involvedObject.kind={SERVICE_OF_OURS.name},involvedObject.name={name}"
        events, _ = await cluster.list(EVENT, where, fields=of)
    uid = found["metadata"]["uid"]
    return found, [each for each in events if each.get("involvedObject", {}).get("uid") == uid]
