"""LangGraph Studio on a laptop: where its mark is believed, and where it must open nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_replicas import Replica, open_replica, settings_of
from structlog.testing import capture_logs

from lgs_runtime.auth.studio import may_ask
from lgs_runtime.graphs.http_section import Cors
from lgs_runtime.graphs.manifest import GraphSpec
from lgs_runtime.process_context import ProcessContext, not_a_laptop
from lgs_runtime.settings import Settings
from lgs_runtime.settings_loader import load_settings

STUDIO = {"x-auth-scheme": "langsmith"}
PAGE = {"Origin": "https://smith.langchain.com"}
LAPTOP = ProcessContext(
    env={}, pid=4711, parent=4700, container=False, first_command="/sbin/init ", log_is_journal=False
)


def settings_in(folder: Path, **more: Any) -> Settings:
    settings = settings_of(folder, {"database_uri": f"sqlite:///{folder}/lgs.db"})
    graphs = {"who": GraphSpec("api_graphs:who")}
    return replace(settings, graphs=graphs, auth_path="api_auth:owners", **{"not_a_laptop": None, **more})


@pytest.fixture(scope="module")
async def laptop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Replica]:
    """A service with private conversations, as `lgs-runtime serve` opens it on a laptop."""
    async with open_replica(settings_in(tmp_path_factory.mktemp("laptop"))) as opened:
        yield opened


async def answer(replica: Replica, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=replica.url, timeout=60) as http:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await http.post("/assistants/search", json={}, headers={**STUDIO, **named})


async def test_on_a_laptop_studio_gets_in_and_sees_what_it_makes(laptop: Replica) -> None:
    async with httpx.AsyncClient(base_url=laptop.url, timeout=60, headers={**STUDIO, **PAGE}) as http:
        told = await http.post("/runs/wait", json={"assistant_id": "who", "input": {}})
        thread = (await http.post("/threads", json={})).json()["thread_id"]
        found = await http.get(f"/threads/{thread}")
        schemas = await http.get("/assistants/who/schemas")

    assert told.json()["told"]["user"]["identity"] == "langgraph-studio-user"
    assert told.json()["told"]["user"]["kind"] == "StudioUser"
    assert (found.status_code, schemas.status_code) == (200, 200)


async def test_without_the_mark_the_authentication_decides_on_a_laptop_too(laptop: Replica) -> None:
    async with httpx.AsyncClient(base_url=laptop.url, timeout=60) as http:
        refused = await http.post("/threads", json={}, headers=PAGE)
        alice = await http.post("/threads", json={}, headers={"Authorization": "Bearer alice-token"})

    assert (refused.status_code, alice.status_code) == (401, 200)


@pytest.mark.parametrize(
    ("more", "allowed"), [({}, "true"), ({"not_a_laptop": "it runs in a cluster"}, None)]
)
async def test_a_browser_lets_studio_s_page_reach_a_laptop_s_loopback_interface(
    tmp_path: Path, more: dict[str, Any], allowed: str | None
) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Private-Network": "true"}
    async with (
        open_replica(settings_in(tmp_path, **more)) as replica,
        httpx.AsyncClient(base_url=replica.url, timeout=60) as http,
    ):
        answered = await http.options("/threads", headers={**PAGE, **asked})

    assert answered.headers.get("access-control-allow-private-network") == allowed
    assert answered.is_success is bool(allowed)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example:8000"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "localhost@evil.example"},
        {"Host": "127.0.0.1#evil.example"},
        {"Host": "localhost/evil.example"},
        {"Host": "127.0.0.1:8000, evil.example"},
        {"Host": "192.168.1.2:8000"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://smith.langchain.com.evil.example"},
        {"Origin": "https://evilsmith.langchain.com"},
        {"Origin": "http://smith.langchain.com"},
        {"Origin": "https://smith.langchain.com@evil.example"},
        {"X_Forwarded_For": "127.0.0.1"},
        {"X_Forwarded_Proto": "https"},
        {"Forwarded": "for=127.0.0.1"},
        {"Via": "1.1 proxy"},
        {"X_Real_IP": "127.0.0.1"},
        {"X_Envoy_Expected_Rq_Timeout_Ms": "15000"},
        {"Cf_Connecting_Ip": "127.0.0.1"},
    ],
)
async def test_what_may_come_from_elsewhere_is_not_believed_to_be_studio(
    laptop: Replica, headers: dict[str, str]
) -> None:
    assert (await answer(laptop, **headers)).status_code == 401


async def raw(replica: Replica, request: str) -> bytes:
    host, port = replica.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request.replace("\n", "\r\n").encode())
    status = await reader.readline()
    writer.close()
    return status


@pytest.mark.parametrize(
    ("line", "hosts", "status"),
    [
        ("GET /assistants/who HTTP/1.0", "Host: 127.0.0.1", b"401"),
        ("GET /assistants/who HTTP/1.1", "Host: 127.0.0.1\nHost: evil.example", b"401"),
        ("GET /assistants/who HTTP/1.1", "Host: 127.0.0.1", b"200"),
        ("GET /assistants/who HTTP/1.1", "Host: [::1]:8000", b"200"),
        ("GET /assistants/who HTTP/1.1", "Host: LocalHost:8000", b"200"),
    ],
)
async def test_a_proxy_that_says_nothing_of_itself_is_known_by_how_it_speaks(
    laptop: Replica, line: str, hosts: str, status: bytes
) -> None:
    assert status in await raw(laptop, f"{line}\n{hosts}\nx-auth-scheme: langsmith\nConnection: close\n\n")


async def test_a_page_that_the_configuration_names_may_be_studio(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    http = replace(settings.http, cors=Cors(allow_origins=("https://smith.company.example",)))
    async with open_replica(replace(settings, http=http)) as replica:
        named = await answer(replica, Origin="https://smith.company.example")
        other = await answer(replica, Origin="https://other.company.example")

    assert (named.status_code, other.status_code) == (200, 401)


def test_only_pages_of_studio_of_this_machine_and_those_that_are_named_may_be_studio() -> None:
    by_rule = Cors(allow_origins=("*",), allow_origin_regex=r"https://.*\.company\.example")

    assert all(
        may_ask(origin, by_rule)
        for origin in (
            "https://smith.langchain.com",
            "https://eu.smith.langchain.com",
            "http://localhost:3000",
            "http://127.0.0.1:5173",
            "https://a.company.example",
        )
    )
    assert not may_ask("https://a.company.example.evil.example", by_rule)
    assert not may_ask("*", by_rule)
    assert not may_ask("", by_rule)


@pytest.mark.parametrize(
    ("more", "opens", "told"),
    [
        ({}, True, ["studio.open"]),
        ({"disable_studio_auth": True}, False, []),
        ({"not_a_laptop": "it runs in a cluster"}, False, ["studio.closed"]),
        ({"api_keys": "a-long-enough-key"}, False, []),
    ],
)
async def test_that_studio_gets_in_is_told_once_at_the_start(
    tmp_path: Path, more: dict[str, Any], opens: bool, told: list[str]
) -> None:
    with capture_logs() as logs:
        async with open_replica(settings_in(tmp_path, **more)) as replica:
            statuses = [(await answer(replica, **PAGE)).status_code for _ in range(2)]

    assert statuses == ([200, 200] if opens else [401, 401])
    assert [log["event"] for log in logs if log["event"].startswith("studio.")] == told


async def test_a_service_without_authentication_of_its_own_says_nothing_of_studio(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with open_replica(replace(settings_in(tmp_path), auth_path=None)) as replica:
            assert (await answer(replica, **PAGE)).status_code == 200

    assert not [log for log in logs if log["event"].startswith("studio.")]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_a_replica_on_the_loopback_interface_that_a_person_started_is_on_a_laptop(host: str) -> None:
    assert not_a_laptop(host, LAPTOP) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.com", ""])
def test_whatever_listens_beyond_the_loopback_interface_is_not_on_a_laptop(host: str) -> None:
    assert "not the loopback interface" in (not_a_laptop(host, LAPTOP) or "")


@pytest.mark.parametrize(
    ("around", "said"),
    [
        ({"env": {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}}, "sidecar"),
        ({"pid": 1, "container": True}, "its container was started for"),
        ({"parent": 1, "container": True}, "its container was started for"),
        ({"first_command": "tini -- lgs-runtime serve ", "container": True}, "its container was started for"),
        ({"first_command": "python -m lgs_runtime.cli serve "}, "its container was started for"),
        ({"log_is_journal": True}, "a service of systemd"),
    ],
)
def test_the_loopback_interface_of_a_service_is_not_a_laptops(around: dict[str, Any], said: str) -> None:
    assert said in (not_a_laptop("127.0.0.1", replace(LAPTOP, **around)) or "")


def test_a_developers_shell_in_a_container_is_a_laptop() -> None:
    assert not_a_laptop("127.0.0.1", replace(LAPTOP, container=True, first_command="sleep infinity ")) is None


def test_the_settings_know_where_they_are_read() -> None:
    graphs = {"LANGSERVE_GRAPHS": '{"agent": "./agent.py:agent"}'}

    beyond = load_settings({**graphs, "LGS_HOST": "0.0.0.0"})
    in_cluster = load_settings({**graphs, "KUBERNETES_SERVICE_HOST": "10.0.0.1"})
    journal = ProcessContext.detect({"JOURNAL_STREAM": "1:2"})

    assert "0.0.0.0" in (beyond.not_a_laptop or "")
    assert "sidecar" in (in_cluster.not_a_laptop or "")
    assert not journal.log_is_journal
