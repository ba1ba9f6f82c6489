"""`lgs rollback`: a service of a cluster goes back to one of its revisions, or to what its manifest says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from lgs_crds.status import RevisionStatus, status_before
from lgs_operator.commands.console import refused, say
from lgs_operator.commands.on_cluster import Namespace, NoSuchService, service_of


class NoWayBack(Exception):
    """There is no such revision; says which there are."""


def rollback(
    service: Annotated[str, typer.Argument(help="Name of the service.", show_default=False)],
    *,
    to: Annotated[
        int | None,
        typer.Option(min=1, help="Number of the revision.", show_default="the last one before that worked"),
    ] = None,
    clear: Annotated[
        bool, typer.Option("--clear", help="Run what the manifest says, from now on again.")
    ] = False,
    namespace: Namespace = None,
) -> None:
    """Go back to a revision of a service."""
    if clear and to is not None:
        raise refused(NoWayBack("--clear and --to: set one of them"))
    # What only this command needs takes a while to import.
    from lgs_operator.kube.errors import KubeError  # noqa: PLC0415

    try:
        say(asyncio.run(_pin(service, to, namespace, clear=clear)))
    except (NoSuchService, NoWayBack, KubeError) as error:
        raise refused(error) from None


def revision_to_run(service: str, status: Mapping[str, Any], to: int | None) -> int:
    """Which one to go back to: `to`, else the one beside a canary, else the newest that was ready before the
    current one. Raises `NoWayBack`."""
    known = status_before(status)
    there = [*known.revisions]
    if to is None:
        # beside a canary it is the current one that works
        newest = (known.revision or 0) - (known.canary is None)
        ready = (each for each in there if each.revision <= newest and each.state == "Ready")
        found = next(ready, None)
    else:
        found = next((each for each in there if each.revision == to), None)
    if found is not None:
        return found.revision
    kept = ", ".join(map(_named, there)) or "none"
    if to is not None:
        raise NoWayBack(f"{service}: revision {to} is not kept; those that are: {kept}")
    current = f"revision {known.revision}" if known.revision else "the first one"
    raise NoWayBack(f"{service}: no revision before {current} was ready; those that are kept: {kept}")


def _named(revision: RevisionStatus) -> str:
    return f"{revision.revision} ({revision.state})"


async def _pin(service: str, to: int | None, namespace: str | None, *, clear: bool) -> str:
    """Writes it into the manifest on the cluster; what was done, in words."""
    from lgs_operator.kube.kinds import SERVICE_OF_OURS  # noqa: PLC0415

    async with service_of(service, namespace) as (cluster, where, found):
        status = found.get("status") or {}
        number = None if clear else revision_to_run(service, status, to)
        patch = {"spec": {"rollout": {"revision": number}}}
        await cluster.merge(SERVICE_OF_OURS, where, service, patch, manager="lgs")
    if number is None:
        return f"{service}: runs what its manifest says"
    return f"{service}: goes to revision {number}, and stays there until `lgs rollback {service} --clear`"
