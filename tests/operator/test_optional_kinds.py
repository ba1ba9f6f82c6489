"""Kinds that a cluster may have or not: those that come are watched, and none holds up another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lgs_operator.kube import optional
from lgs_operator.kube.client import KubeError
from lgs_operator.kube.kinds import (
    INGRESS,
    OPTIONAL,
    POD_MONITOR,
    PROMETHEUS_RULE,
    Kind,
    Manifest,
    ServiceKey,
)
from lgs_operator.kube.optional import OptionalKinds
from support.waiting import until

BOTH = frozenset({"PodMonitor", "PrometheusRule"})


class Server:
    """An API server with these kinds. `answers` are the errors of lists, by namespace; `unread` those of
    lists that have an object in them, by kind; `silent` are groups' versions that it does not tell of."""

    def __init__(self, *kinds: str) -> None:
        self.kinds: frozenset[str] | KubeError = frozenset(kinds)
        self.answers: dict[str | None, KubeError] = {}
        self.unread: dict[str, KubeError] = {}
        self.asked = 0
        self.tried = 0
        self.silent: set[str] = set()

    async def served(self, api_version: str) -> frozenset[str]:
        self.asked += 1
        if isinstance(self.kinds, KubeError):
            raise self.kinds
        if api_version in self.silent:
            raise KubeError(503, "ServiceUnavailable", "no backend")
        return self.kinds

    async def try_list(self, kind: Kind, namespace: str | None) -> None:
        self.tried += 1
        if (error := self.answers.get(namespace)) is not None:
            raise error

    async def list(self, kind: Kind, namespace: str | None, **_: Any) -> tuple[list[Manifest], str]:
        error = self.answers.get(namespace) or self.unread.get(kind.name)
        if error is not None:
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
    monkeypatch.setattr(optional, "RIGHTS_SECONDS", 0.02)


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

        assert standing(kinds, "going") == ("unlisted", "unlisted")
        assert "no such namespace any more" in kinds.why(POD_MONITOR, "going")
        assert standing(kinds, "closed") == ("forbidden", "forbidden")
        assert "cannot list resource" in kinds.why(POD_MONITOR, "closed")

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
        assert standing(kinds) == ("unlisted", "unlisted")
        assert "later" in kinds.why(POD_MONITOR, "team")


async def test_rights_that_are_taken_away_are_missed_and_rights_that_come_back_are_seen() -> None:
    server = Server(*BOTH)
    with looking(server, "team", "other") as (kinds, moved):
        await until(lambda: standing(kinds) == standing(kinds, "other") == ("there", "there"))
        moved.clear()

        server.answers = {"team": KubeError(403, "Forbidden", "cannot list resource")}
        await until(lambda: standing(kinds) == ("forbidden", "forbidden"))

        assert standing(kinds, "other") == ("there", "there")
        assert set(moved) == {"team"}
        assert not kinds.of(ServiceKey("team", "support"), OPTIONAL), "nothing is concluded from an old copy"

        server.answers = {}
        await until(lambda: standing(kinds) == ("there", "there"))
        assert len(kinds.of(ServiceKey("team", "support"), OPTIONAL)) == len(BOTH)


async def test_a_kind_that_is_watched_stays_so_while_the_server_has_other_troubles() -> None:
    server = Server(*BOTH)
    with looking(server, "team") as (kinds, moved):
        await until(lambda: standing(kinds) == ("there", "there") and len(moved) == len(BOTH))
        server.answers = {"team": KubeError(500, "InternalError", "etcd is slow")}
        before = server.tried
        await until(lambda: server.tried > before + 3)

        assert standing(kinds) == ("there", "there")
        assert len(moved) == len(BOTH)


async def test_a_kind_whose_objects_can_not_be_read_is_told_until_they_can() -> None:
    server = Server(*BOTH)
    server.unread = {"PodMonitor": KubeError(500, "InternalError", "conversion webhook failed")}
    with looking(server, "team") as (kinds, moved):
        await until(lambda: standing(kinds) == ("unlisted", "there"))
        assert "conversion webhook failed" in kinds.why(POD_MONITOR, "team")
        await until(lambda: len(moved) == len(BOTH))

        server.unread = {}
        await until(lambda: standing(kinds) == ("there", "there"))
        assert not kinds.why(POD_MONITOR, "team")


async def test_a_group_that_does_not_answer_holds_up_no_other() -> None:
    server = Server(*BOTH, "Ingress")
    server.silent = {POD_MONITOR.api_version}
    with looking(server, "team") as (kinds, _):
        await until(lambda: kinds.standing(INGRESS, "team") == "there")
