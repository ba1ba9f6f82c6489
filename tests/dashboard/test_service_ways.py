"""Inside a cluster the ways lead to the Service that the operator made for a service, and nowhere else."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from lgs_operator.dashboard.cluster import ClusterSource
from lgs_operator.dashboard.places import Door
from lgs_operator.dashboard.served import guarded_history, token_in
from lgs_operator.dashboard.service_ways import ServiceWays, address_of
from lgs_operator.dashboard.sources import Kept
from lgs_operator.dashboard.ways import Unreachable
from lgs_operator.desired.service import service
from lgs_operator.history.service import Histories
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import Kind
from lgs_operator.scaling import Decision, Memory, Observation
from support.desired import inputs_of

NOW = 1_800_000_000.0
UID = "0b2f"
SERVICE: dict[str, Any] = {
    "metadata": {
        "name": "support",
        "namespace": "shop",
        "ownerReferences": [{"kind": "LangGraphService", "uid": UID, "controller": True}],
    },
    "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.7", "selector": {"lgs.dev/service": "support"}},
}


def changed(part: str, **fields: Any) -> dict[str, Any]:
    found = copy.deepcopy(SERVICE)
    found[part] |= fields
    return found


def test_a_service_is_asked_at_the_address_of_its_own_service() -> None:
    assert address_of(SERVICE, UID) == "http://10.96.0.7:8000"
    assert address_of(changed("spec", clusterIP="fd00::7"), UID) == "http://[fd00::7]:8000"


@pytest.mark.parametrize(
    "hostile",
    [
        changed("metadata", ownerReferences=None),
        changed("metadata", ownerReferences=[]),
        changed("metadata", ownerReferences=[{"uid": UID}]),
        changed("metadata", ownerReferences=[{"uid": "another", "controller": True}]),
        changed("spec", type="ExternalName", externalName="169.254.169.254", clusterIP=""),
        changed("spec", type="ExternalName"),
        changed("spec", selector=None),
        changed("spec", selector={"app": "database"}),
        changed("spec", selector={"lgs.dev/service": "other"}),
        changed("spec", clusterIP="None"),
        changed("spec", clusterIP="metadata.google.internal"),
        changed("spec", clusterIP="10.0.0.1@evil.example"),
        changed("spec", clusterIP=None),
    ],
)
def test_a_service_that_could_lead_elsewhere_is_not_asked(hostile: dict[str, Any]) -> None:
    with pytest.raises(Unreachable, match="Service support"):
        address_of(hostile, UID)


def test_nothing_is_the_service_of_one_without_a_uid() -> None:
    with pytest.raises(Unreachable):
        address_of(changed("metadata", ownerReferences=[{"uid": "", "controller": True}]), "")


def test_the_service_that_the_operator_makes_is_asked() -> None:
    made = service(inputs_of())
    made["spec"]["clusterIP"] = "10.96.0.7"

    assert address_of(made, "u1") == "http://10.96.0.7:8000"


class Cluster:
    """An API server with these Services."""

    def __init__(self, *services: dict[str, Any]) -> None:
        self.services, self.why = services, ""

    async def get(self, kind: Kind, namespace: str, name: str) -> dict[str, Any] | None:
        if self.why:
            raise KubeError(403, "Forbidden", self.why)
        assert kind.name == "Service"
        names = [(each["metadata"]["namespace"], each["metadata"]["name"]) for each in self.services]
        return self.services[names.index((namespace, name))] if (namespace, name) in names else None


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as it:
        yield it


def histories(*names: str) -> Histories:
    kept = Histories(lambda: NOW)
    for name in names:
        history = kept.begin("shop", name, "uid")
        assert history is not None
        decided = Decision(3, "by the operator", "ScaledOut", {}, None, Memory())
        history.observe(NOW, Observation(at=NOW, samples=(), ready=2), decided)
    return kept


async def operator(stack: AsyncExitStack, token: Path, *names: str) -> int:
    """The port of one whose history has these services."""
    door = Door(8)
    app = guarded_history(Kept(histories(*names)), door, token_in(token))
    return await door.serve(stack, app, "127.0.0.1", 0)


async def source(stack: AsyncExitStack, ways: ServiceWays) -> ClusterSource:
    session = await stack.enter_async_context(aiohttp.ClientSession())

    async def services() -> list[dict[str, Any]]:
        return [{"metadata": {"namespace": "shop", "name": "support", "uid": UID}}]

    return ClusterSource(services, ways, session)


async def test_the_history_is_had_by_the_token_that_both_share(stack: AsyncExitStack, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("shared\n")
    port = await operator(stack, token, "support")
    it = await source(stack, ServiceWays(Cluster(SERVICE), ("localhost", port), token))

    known = await it.services()
    history = await it.history("shop", "support", 900.0, None)

    assert "trouble" not in known
    assert known["services"][0]["decision"]["reason"] == "by the operator"
    assert history is not None
    assert history["values"]["ready"] == [2]


async def test_a_token_that_was_changed_holds_at_once(stack: AsyncExitStack, tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    theirs.write_text("new")
    ours.write_text("old")
    port = await operator(stack, theirs, "support")
    it = await source(stack, ServiceWays(Cluster(SERVICE), ("localhost", port), ours))

    assert "answers 401" in (await it.services())["trouble"]
    ours.write_text("new")
    assert "trouble" not in await it.services()
    ours.unlink()
    assert "the token for the operator" in (await it.services())["trouble"]


@pytest.mark.parametrize(
    "given", [None, "", "Bearer ", "Bearer wrong", "shared", "Bearer shared2", "Bearer \xe9"]
)
async def test_who_does_not_bring_the_token_gets_no_history(
    stack: AsyncExitStack, tmp_path: Path, given: str | None
) -> None:
    token = tmp_path / "token"
    token.write_text("shared")
    url = f"http://127.0.0.1:{await operator(stack, token, 'support')}"
    client = await stack.enter_async_context(aiohttp.ClientSession())
    for headers in ({}, {"Host": "127.0.0.1"}, {"Host": "localhost"}):
        sent = headers | ({} if given is None else {"Authorization": given})
        for path in ("/api/services", "/api/services/shop/support/history"):
            async with client.get(f"{url}{path}", headers=sent) as answer:
                assert answer.status == 401
                assert "by the operator" not in await answer.text()
    token.write_text("")
    async with client.get(f"{url}/api/services", headers={"Authorization": "Bearer "}) as answer:
        assert answer.status == 401, "an empty token is none"


async def test_a_name_that_leads_nowhere_is_told(stack: AsyncExitStack, tmp_path: Path) -> None:
    it = await source(stack, ServiceWays(Cluster(), ("no-such-name.invalid", 1), tmp_path))

    assert "no pod of an operator was found" in (await it.services())["trouble"]


async def test_why_a_service_can_not_be_reached_is_told(stack: AsyncExitStack, tmp_path: Path) -> None:
    cluster = Cluster()
    it = await source(stack, ServiceWays(cluster, ("localhost", 1), tmp_path))

    with pytest.raises(Unreachable, match="no Service support yet"):
        await it.api("shop", "support")
    cluster.why = "you may not"
    with pytest.raises(Unreachable, match="you may not"):
        await it.api("shop", "support")
    assert await it.api("kube-system", "kubernetes") is None
