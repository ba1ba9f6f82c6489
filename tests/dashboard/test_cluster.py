"""`lgs dashboard` on a cluster: services by the API server, history from the operator, ways by kubectl."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from lgs_operator.dashboard.cluster import ClusterSource, one_point
from lgs_operator.dashboard.forwards import ForwardedWays, Forwards, NotForwarded, Place
from lgs_operator.dashboard.server import history_app, page_app, serve_loopback
from lgs_operator.dashboard.sources import Kept, Unread
from lgs_operator.history.service import Histories
from lgs_operator.scaling import Decision, Memory, Observation
from support.ports import PATIENCE_SECONDS

NOW = 1_800_000_000.0
KUBECTL = """#!{python}
import signal, sys, time
asked = sys.argv[1:]
open({log!r}, "a").write(" ".join(asked) + "\\n")
ports = {ports!r}
what = asked[asked.index("--address") + 2]
if what not in ports:
    sys.exit("Error from server (Forbidden): User \\"eve\\" cannot create pods/portforward")
print("Forwarding from 127.0.0.1:%d -> %s" % (ports[what], asked[-1].strip(":")), flush=True)
for _ in range({chatter}):
    print("Handling connection for %d" % ports[what], flush=True)
time.sleep({lives})
"""


class Cluster:
    """An operator and a runtime that really listen, and a kubectl that leads to them."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.kubectl, self.log = folder / "kubectl", folder / "asked"
        self._stack = stack
        self.services: list[dict[str, Any]] = [
            {
                "metadata": {"namespace": "shop", "name": "support"},
                "status": {
                    "readyReplicas": 2,
                    "desiredReplicas": 3,
                    "queue": 4,
                    "scaling": {"reason": "17 wait", "desiredReplicas": 3},
                },
            }
        ]
        self.why, self.reads = "", 0
        self.pods: list[tuple[str, str]] = [("lgs-system", "operator-standby"), ("lgs-system", "operator-0")]

    def leads_to(self, ports: dict[str, int], *, lives: float = 600, chatter: int = 0) -> None:
        text = KUBECTL.format(
            python=sys.executable, log=str(self.log), ports=ports, lives=lives, chatter=chatter
        )
        self.kubectl.write_text(text)
        self.kubectl.chmod(self.kubectl.stat().st_mode | stat.S_IXUSR)

    async def source(self) -> tuple[ClusterSource, Forwards]:
        async def services() -> Sequence[dict[str, Any]]:
            self.reads += 1
            if self.why:
                raise Unread(self.why)
            return self.services

        async def pods() -> Sequence[tuple[str, str]]:
            return self.pods

        session = await self._stack.enter_async_context(aiohttp.ClientSession())
        forwards = Forwards((str(self.kubectl),))
        self._stack.push_async_callback(forwards.close)
        return ClusterSource(services, ForwardedWays(pods, forwards), session), forwards

    def asked(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that stands still for a while kubectl and the operator are waited for, and a failure is
    remembered, for longer than that."""
    monkeypatch.setattr("lgs_operator.dashboard.forwards.PATIENCE_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr("lgs_operator.dashboard.forwards.PAUSE_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr("lgs_operator.dashboard.cluster._PATIENCE", aiohttp.ClientTimeout(PATIENCE_SECONDS))


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as it:
        yield it


@pytest.fixture
def cluster(tmp_path: Path, stack: AsyncExitStack) -> Cluster:
    return Cluster(tmp_path, stack)


async def operator(stack: AsyncExitStack) -> int:
    """One with a history, on a free port."""
    kept = Histories(lambda: NOW)
    history = kept.begin("shop", "support", "uid")
    assert history is not None
    decided = Decision(3, "by the operator", "ScaledOut", {}, None, Memory())
    history.observe(NOW, Observation(at=NOW, samples=(), ready=2), decided)
    return await serve_loopback(stack, history_app(Kept(kept)), 0)


async def test_the_history_is_of_the_operator_that_acts(cluster: Cluster, stack: AsyncExitStack) -> None:
    standby = await serve_loopback(stack, history_app(Kept(Histories(lambda: NOW))), 0)
    acting = await operator(stack)
    cluster.leads_to({"pod/operator-standby": standby, "pod/operator-0": acting})
    source, _ = await cluster.source()

    known = await source.services()
    history = await source.history("shop", "support", 900.0, None)

    assert "trouble" not in known
    assert known["services"][0]["decision"]["reason"] == "by the operator"
    assert history is not None
    assert history["values"]["ready"] == [2]
    assert await source.history("shop", "nobody", 900.0, None) is None
    assert len(cluster.asked()) == 2, "a way is made once"
    assert "port-forward --namespace lgs-system --address 127.0.0.1 pod/operator-0 :8081" in cluster.asked()


async def test_without_the_right_to_it_the_status_is_shown_and_why(cluster: Cluster) -> None:
    cluster.leads_to({})
    source, _ = await cluster.source()

    known = await source.services()
    history = await source.history("shop", "support", 900.0, None)

    assert "cannot create pods/portforward" in known["trouble"]
    (one,) = known["services"]
    assert (one["values"]["ready"], one["values"]["desired"], one["decision"]["reason"]) == (2, 3, "17 wait")
    assert history is not None
    assert history["values"]["ready"] == [2]
    assert history["trouble"] == known["trouble"]


async def test_without_kubectl_that_is_said(cluster: Cluster) -> None:
    source, _ = await cluster.source()

    assert "kubectl: No such file or directory" in (await source.services())["trouble"]


async def test_a_service_that_no_operator_has_looked_at_is_shown_without_numbers(cluster: Cluster) -> None:
    cluster.services = [{"metadata": {"namespace": "shop", "name": "new"}}]
    cluster.pods = []
    source, _ = await cluster.source()

    known = await source.services()

    assert "no pod of an operator" in known["trouble"]
    assert set(known["services"][0]["values"].values()) == {None}
    assert one_point(cluster.services[0], NOW, "")["decisions"] == []


async def test_sessions_are_asked_of_the_service_itself_by_the_token_of_the_page(
    cluster: Cluster, stack: AsyncExitStack
) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"key": request.headers.get("X-Api-Key"), "path": request.path})

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    cluster.leads_to({"service/support": await serve_loopback(stack, app, 0)})
    source, _ = await cluster.source()
    page = await serve_loopback(stack, page_app(source), 0)

    async with aiohttp.ClientSession() as client:
        url = f"http://127.0.0.1:{page}/runtime/shop/support/threads/a"
        async with client.get(url, headers={"X-Api-Key": "mine"}) as got:
            assert await got.json() == {"key": "mine", "path": "/threads/a"}
        async with client.get(f"http://127.0.0.1:{page}/runtime/kube-system/etcd/threads/a") as got:
            assert got.status == 404
        cluster.leads_to({})
        cluster.services.append({"metadata": {"namespace": "shop", "name": "other"}})
        await asyncio.sleep(1.1)
        async with client.get(f"http://127.0.0.1:{page}/runtime/shop/other/threads/a") as got:
            assert got.status == 502
            assert "cannot create pods/portforward" in await got.text()
    assert "port-forward --namespace shop --address 127.0.0.1 service/support :8000" in cluster.asked()


async def test_a_way_that_has_ended_is_made_again_and_what_it_says_fills_no_pipe(cluster: Cluster) -> None:
    cluster.leads_to({"service/support": 4321}, chatter=20_000, lives=0)
    _, forwards = await cluster.source()
    place = Place("shop", "service/support", 8000)

    first = await forwards.url(place)
    (begun,) = forwards.processes
    await asyncio.wait_for(begun.wait(), PATIENCE_SECONDS)
    again = await forwards.url(place)

    assert first == again == "http://127.0.0.1:4321"
    assert len(cluster.asked()) == 2


async def test_all_ways_end_with_the_command_and_many_who_ask_at_once_make_one(cluster: Cluster) -> None:
    cluster.leads_to({"service/support": 4321})
    _, forwards = await cluster.source()
    place = Place("shop", "service/support", 8000)

    await asyncio.gather(*(forwards.url(place) for _ in range(20)))
    (begun,) = forwards.processes
    await forwards.close()

    assert begun.returncode is not None
    assert len(cluster.asked()) == 1


async def test_what_never_says_that_it_leads_anywhere_is_given_up(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lgs_operator.dashboard.forwards.PATIENCE_SECONDS", 0.2)
    cluster.kubectl.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(600)\n")
    cluster.kubectl.chmod(0o755)
    _, forwards = await cluster.source()

    with pytest.raises(NotForwarded, match="no way to it"):
        await forwards.url(Place("shop", "service/support", 8000))


async def test_a_way_is_ended_whose_asker_has_gone_before_it_led_anywhere(
    cluster: Cluster, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    text = f"import os, time\nopen({str(begun)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)\n"
    cluster.kubectl.write_text(f"#!{sys.executable}\n{text}")
    cluster.kubectl.chmod(0o755)
    _, forwards = await cluster.source()
    asking = asyncio.create_task(forwards.url(Place("shop", "service/support", 8000)))
    while not (begun.exists() and begun.read_text()):
        await asyncio.sleep(0.01)

    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

    with pytest.raises(ProcessLookupError):
        os.kill(int(begun.read_text()), 0)


@pytest.fixture
async def attentive(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> tuple[ClusterSource, Forwards]:
    """A page that asks for the services each time; that of the name has the uid `a`."""
    monkeypatch.setattr("lgs_operator.dashboard.cluster._SERVICES_SECONDS", 0.0)
    cluster.leads_to({"service/support": 4321})
    cluster.services[0]["metadata"]["uid"] = "a"
    return await cluster.source()


async def test_a_service_that_is_made_again_has_a_way_of_its_own(
    cluster: Cluster, attentive: tuple[ClusterSource, Forwards]
) -> None:
    source, forwards = attentive
    first = [await source.api("shop", "support") for _ in range(2)]
    (way,) = forwards.processes

    cluster.services, kept = [], cluster.services
    assert await source.api("shop", "support") is None
    kept[0]["metadata"]["uid"] = "b"
    cluster.services = kept
    cluster.leads_to({"service/support": 1234})
    again = await source.api("shop", "support")

    assert first == [("http://127.0.0.1:4321", "a")] * 2
    assert again == ("http://127.0.0.1:1234", "b")
    assert way.returncode is not None
    assert len(cluster.asked()) == 2


async def test_a_way_to_a_service_that_is_made_again_meanwhile_is_not_used(
    cluster: Cluster, attentive: tuple[ClusterSource, Forwards], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, forwards = attentive
    url = forwards.url

    async def at_length(place: Place, uid: str = "") -> str:
        found = await url(place, uid)
        cluster.services = [
            {**each, "metadata": {**each["metadata"], "uid": "b"}} for each in cluster.services
        ]
        return found

    monkeypatch.setattr(forwards, "url", at_length)

    assert await source.api("shop", "support") is None
    assert await source.api("shop", "support") == ("http://127.0.0.1:4321", "b")
    assert len(cluster.asked()) == 2


async def test_many_who_wait_for_what_fails_are_told_by_one_attempt(cluster: Cluster) -> None:
    cluster.leads_to({})
    _, forwards = await cluster.source()
    place = Place("shop", "service/support", 8000)

    told = await asyncio.gather(*(forwards.url(place) for _ in range(5)), return_exceptions=True)

    assert all("cannot create pods/portforward" in str(each) for each in told)
    assert len(cluster.asked()) == 1


async def test_while_the_services_can_not_be_read_the_last_that_were_are_shown_and_why(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.leads_to({})
    monkeypatch.setattr("lgs_operator.dashboard.cluster._SERVICES_SECONDS", 0.0)
    source, _ = await cluster.source()
    before = await source.services()
    cluster.why = "Unauthorized"

    known = await source.services()

    assert known["services"] == before["services"]
    assert known["trouble"] == "the services can't be read, these were there last: Unauthorized"
    assert await source.history("shop", "support", 900.0, None) is not None
    cluster.why = ""
    assert "Unauthorized" not in (await source.services())["trouble"]


async def test_many_who_look_at_once_are_one_who_reads(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lgs_operator.dashboard.cluster._SERVICES_SECONDS", PATIENCE_SECONDS)
    cluster.pods = []
    source, _ = await cluster.source()

    await asyncio.gather(*(source.services() for _ in range(20)))

    assert cluster.reads == 1
