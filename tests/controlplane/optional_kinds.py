"""Kinds that a cluster may have or not on the tests' API server, from their own definitions.
Nobody acts on them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from controlplane.controlplane_server import ControlPlane
from controlplane.waiting import established
from lgs_operator.kube.kinds import Kind
from support.optional_kinds import definitions

NOT_HERE = "its definitions are not here: tools/setup/definitions.sh brings them"


@asynccontextmanager
async def defined(plane: ControlPlane, kinds: Collection[Kind]) -> AsyncIterator[None]:
    """The API server has these kinds meanwhile."""
    for path in definitions(kinds):
        plane.run("apply", "--server-side", "-f", str(path))
    for kind in kinds:
        group, _, _ = kind.api_version.partition("/")
        await established(plane, f"{kind.plural}.{group}")
    try:
        yield
    finally:
        for path in definitions(kinds):
            plane.run("delete", "-f", str(path))
