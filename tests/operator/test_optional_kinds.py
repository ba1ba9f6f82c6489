"""Kinds that a cluster may have or not: those that come are watched, and none holds up another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lgs_operator.kube import optional
from lgs_operator.kube.client import KubeError
from lgs_operator.kube.kinds import OPTIONAL, POD_MONITOR, PROMETHEUS_RULE, Kind, Manifest, ServiceKey
from lgs_operator.kube.optional import OptionalKinds
from support.waiting import until

BOTH = frozenset({"PodMonitor", "PrometheusRule"})


class Server:
    """An API server with these kinds. `answers` are the errors of lists, by namespace."""

    def __init__(self, *kinds: str) -> None:
        self.kinds: frozenset[str] | KubeError = frozenset(kinds)
        self.answers: dict[str | None, KubeError] = {}
        self.asked = 0

    async def served(self, api_version: str) -> frozenset[str]:
        self.asked += 1
        if isinstance(self.kinds, KubeError):
            raise self.kinds
        return self.kinds

    async def list(self, kind: Kind, namespace: str | None, **_: Any) -> tuple[list[Manifest], str]:
        if (error := self.answers.get(namespace)) is not None:
            raise error
        labels = {"lgs.dev/service": "support"}
        metadata = {"name": "support", "namespace": namespace, "labels": labels, "resourceVersion": "1"}
        return [{"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata}], "1"

    async def watch(self, *_: Any, **__: Any) -> AsyncIterator[tuple[str, Manifest]]:
        await asyncio.Event().wait()
        yield "BOOKMARK", {}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optional, "LOOK_SECONDS", 0.01)


@contextmanager
def looking(server: Server, *namespaces: str) -> Iterator[tuple[OptionalKinds, list[str | None]]]:
    """The kinds, and the namespaces in which something moved."""
    moved: list[str | None] = []
    kinds = OptionalKinds(server, OPTIONAL, namespaces, lambda _: None, moved.append)  # type: ignore[arg-type]
    task = asyncio.create_task(kinds.run())
    try:
        yield kinds, moved
    finally:
        task.cancel()


def standing(kinds: OptionalKinds, namespace: str = "team") -> tuple[str, ...]:
    return tuple(kinds.standing(kind, namespace) for kind in (POD_MONITOR, PROMETHEUS_RULE))


async def test_a_kind_that_comes_is_watched_and_one_that_goes_is_not() -> None:
    server = Server()
    with looking(server, "team") as (kinds, moved):
        await kinds.looked.wait()
        assert standing(kinds) == ("absent", "absent")

        server.kinds = BOTH
        await until(lambda: standing(kinds) == ("there", "there") and len(moved) == 2)
        assert len(kinds.of(ServiceKey("team", "support"), OPTIONAL)) == 2
        assert set(moved) == {"team"}

        moved.clear()
        server.kinds = frozenset({"PodMonitor"})
        await until(lambda: standing(kinds) == ("there", "absent"))
        assert moved == ["team"]
        assert len(kinds.of(ServiceKey("team", "support"), OPTIONAL)) == 1


async def test_a_namespace_that_can_not_be_listed_holds_up_no_other() -> None:
    server = Server(*BOTH)
    server.answers = {
        "going": KubeError(500, "InternalError", "no such namespace any more"),
        "closed": KubeError(403, "Forbidden", "cannot list resource"),
    }
    with looking(server, "going", "closed", "team") as (kinds, moved):
        await until(lambda: standing(kinds) == ("there", "there"))

        assert standing(kinds, "going") == ("absent", "absent")
        assert standing(kinds, "closed") == ("forbidden", "forbidden")
        assert "cannot list resource" in kinds.why_forbidden(POD_MONITOR, "closed")

        server.answers = {}
        await until(lambda: standing(kinds, "closed") == standing(kinds, "going") == ("there", "there"))
        await until(lambda: set(moved) == {"closed", "going", "team"})


async def test_a_server_that_does_not_say_which_kinds_it_has_takes_none_away_and_holds_up_nothing() -> None:
    server = Server(*BOTH)
    with looking(server, "team") as (kinds, _):
        await until(lambda: standing(kinds) == ("there", "there"))
        server.kinds = KubeError(503, "ServiceUnavailable", "later")
        before = server.asked
        await until(lambda: server.asked > before + 3)
        assert standing(kinds) == ("there", "there")

    with looking(server, "team") as (kinds, _):
        await kinds.looked.wait()
        assert standing(kinds) == ("absent", "absent")
