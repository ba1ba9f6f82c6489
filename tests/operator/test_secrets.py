"""Secrets are read by their names: a change is noticed, and no namespace waits for another's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import SECRET, Key, Kind, Manifest
from lgs_operator.kube.secrets import SecretReader
from support.ports import PATIENCE_SECONDS

OURS, THEIRS = Key(SECRET, "quiet", "db"), Key(SECRET, "noisy", "db")
HIDDEN = Key(SECRET, "quiet", "a-hidden-one")


class Cluster(KubeClient):
    """The version of each Secret. `silent` namespaces are not answered for, `hidden` may not be read."""

    def __init__(self) -> None:
        self.versions = {OURS: "1", THEIRS: "1", HIDDEN: "1"}
        self.silent: set[str] = set()
        self.hidden: set[Key] = set()
        self.asked: list[Key] = []

    async def get(
        self, kind: Kind, namespace: str, name: str, *, metadata_only: bool = False
    ) -> Manifest | None:
        key = Key(kind, namespace, name)
        self.asked.append(key)
        if namespace in self.silent:
            await asyncio.Event().wait()
        if key in self.hidden:
            raise KubeError(403, "Forbidden", "may not get")
        version = self.versions.get(key)
        return None if version is None else {"metadata": {"resourceVersion": version}}


class Watched:
    """A reader that reads all the time, and what it reported."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.told: asyncio.Queue[Key] = asyncio.Queue()
        self.reader = SecretReader(self.cluster, 0.02, self.told.put_nowait)

    async def tells(self) -> Key:
        return await asyncio.wait_for(self.told.get(), PATIENCE_SECONDS)


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    here = Watched()
    for key in (HIDDEN, OURS, THEIRS):
        await here.reader.get(key)
    running = asyncio.create_task(here.reader.run())
    yield here
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("version", ["2", None])
async def test_a_change_or_a_loss_is_noticed_once(watched: Watched, version: Any) -> None:
    watched.cluster.versions[OURS] = version

    assert await watched.tells() == OURS
    watched.cluster.versions[THEIRS] = "2"
    assert await watched.tells() == THEIRS


async def test_a_namespace_that_is_not_answered_for_and_a_secret_that_may_not_be_read_hold_up_no_other(
    watched: Watched,
) -> None:
    watched.cluster.silent.add("noisy")
    watched.cluster.hidden.add(HIDDEN)

    watched.cluster.versions[OURS] = "2"

    assert await watched.tells() == OURS


async def test_what_nobody_reads_any_more_is_not_asked_for(watched: Watched) -> None:
    watched.reader.forget(THEIRS)
    watched.cluster.versions[OURS] = "2"
    await watched.tells()
    watched.cluster.asked.clear()
    watched.cluster.versions[OURS] = "3"

    await watched.tells()

    assert OURS in watched.cluster.asked
    assert THEIRS not in watched.cluster.asked


async def test_one_that_is_not_there_is_asked_for_only_where_others_make_it() -> None:
    cluster, told = Cluster(), asyncio.Queue[Key]()
    cluster.versions[THEIRS] = None  # type: ignore[assignment]
    ours = SecretReader(cluster, 0.02, told.put_nowait, absent=False)
    for key in (OURS, THEIRS):
        await ours.get(key)
    cluster.asked.clear()
    running = asyncio.create_task(ours.run())

    for version in ("2", "3"):
        cluster.versions[OURS] = version
        assert await asyncio.wait_for(told.get(), PATIENCE_SECONDS) == OURS
    assert THEIRS not in cluster.asked
    ours.put(THEIRS, {"metadata": {"resourceVersion": "4"}})

    assert await asyncio.wait_for(told.get(), PATIENCE_SECONDS) == THEIRS
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
