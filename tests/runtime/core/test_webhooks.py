"""Webhooks: a receiver gets the end of a run, at least once, whichever replica sends it."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from lgs_runtime.api.schemas.record_json import run_json
from lgs_runtime.background import webhooks
from lgs_runtime.background.duties import webhook_sender
from lgs_runtime.background.webhook_receivers import call, open_client
from lgs_runtime.background.webhooks import MOST_ATTEMPTS, WebhookSender
from lgs_runtime.graphs.http_section import HttpSection
from lgs_runtime.graphs.webhook_section import UrlPolicy, WebhookSection
from lgs_runtime.model import NewRun, Outcome, QueueLimits, Webhook
from lgs_runtime.run_kwargs import RunKwargs
from lgs_runtime.settings import Settings
from lgs_runtime.storage import Storage, StorageOptions, open_storage
from lgs_runtime.storage.contract import Webhooks
from support.ports import PATIENCE_SECONDS
from support.receiver import Receiver, receiving
from support.service import Service, at_work, new_id

NewReplica = Callable[..., Any]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
async def storage(database_uri: str) -> AsyncIterator[Storage]:
    opened = await open_storage(database_uri, StorageOptions(lease_seconds=60))
    yield opened
    await opened.close()


@pytest.fixture
async def service(storage: Storage) -> AsyncIterator[Service]:
    async with at_work(storage) as service:
        await service.replica()
        yield service


class Impatient:
    """Webhooks of which whatever is to be tried again is due at once."""

    def __init__(self, webhooks: Webhooks) -> None:
        self._webhooks = webhooks
        self.release = webhooks.release
        self.drop = webhooks.drop

    async def claim(self, limit: int, pauses: Sequence[float]) -> Sequence[Webhook]:
        return await self._webhooks.claim(limit, [0.0])


def test_a_webhook_waits_longer_after_each_attempt_and_no_two_replicas_alike() -> None:
    ours, theirs = webhooks.pauses(), webhooks.pauses()

    assert len(ours) == MOST_ATTEMPTS
    assert ours[:6] == sorted(ours[:6]) and ours[0] * 20 < ours[-1]
    assert all(mine != other for mine, other in zip(ours, theirs, strict=True))


async def send(webhooks: Webhooks, rounds: int = 1, url: UrlPolicy | None = None, **rules: Any) -> list[int]:
    """How many calls each of these rounds made."""
    section = WebhookSection(url or UrlPolicy(), rules.pop("headers", {}), rules.pop("allowed_fields", None))
    sender = WebhookSender(webhooks, run_json, section, **rules)
    made = []
    async with open_client(section, PATIENCE_SECONDS) as http:
        for _ in range(rounds):
            made.append(await sender.send_due(http))
            await sender.settled()
    return made


async def test_a_receiver_is_told_what_a_run_left(
    new_replica: NewReplica, receiver: Receiver, tmp_path: Path
) -> None:
    replica = await new_replica("a")

    kwargs = RunKwargs(input={"folder": str(tmp_path), "done": []}, webhook=receiver.url)
    run = await replica.start("three_steps", kwargs, webhook=receiver.url)
    told = await receiver.first()

    assert (told["run_id"], told["thread_id"], told["status"]) == (run.run_id, run.thread_id, "success")
    assert told["values"]["done"] == ["one", "two", "three"]
    assert told["run_started_at"] <= told["run_ended_at"] <= told["webhook_sent_at"]


async def test_a_call_that_failed_is_made_again_until_it_is_taken(
    service: Service, receiver: Receiver
) -> None:
    receiver.answers = [500, 404]
    run = await service.running(webhook=receiver.url)
    await service.storage.queue.finish(run, "r1", Outcome("success", values={"n": 1}))

    made = await send(Impatient(service.storage.webhooks), rounds=4)

    assert made == [1, 1, 1, 0]
    assert [call["values"] for call in receiver.calls] == [{"n": 1}] * 3


async def test_an_answer_that_never_ends_is_one_and_takes_no_memory(service: Service) -> None:
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n")
        with suppress(OSError):
            while sent < 256 * 1024 * 1024:
                writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
                await writer.drain()
                sent += 0x10000
        writer.close()

    async with await asyncio.start_server(endless, "127.0.0.1", 0) as server:
        await ended(service, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")

        made = await send(Impatient(service.storage.webhooks), rounds=2)

    assert made == [1, 0]
    assert sent < 64 * 1024 * 1024, "what the kernel takes for a connection"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/",
        "http://no-such-host.invalid/",
        "http://xn--/",
        "http://\u2603.example/",
        "https://127.0.0.1:{port}/",
    ],
)
async def test_a_receiver_that_can_not_be_reached_keeps_no_other_from_its_call(
    service: Service, receiver: Receiver, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A name server that answers nothing may be asked each time.
    monkeypatch.setattr(webhooks, "ANSWER_SECONDS", 30)

    async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 X\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as without_tls:
        await ended(service, url.replace("{port}", str(without_tls.sockets[0].getsockname()[1])))
        await ended(service, receiver.url)

        made = await send(Impatient(service.storage.webhooks), rounds=MOST_ATTEMPTS + 1)

    assert len(receiver.calls) == 1
    assert made == [2, *[1] * (MOST_ATTEMPTS - 1), 0]


@pytest.mark.parametrize("hosts", [1, 25])
async def test_slow_receivers_keep_no_other_from_its_call(
    service: Service, receiver: Receiver, hosts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "ANSWER_SECONDS", 300)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        writer.close()

    async with await asyncio.start_server(silent, "0.0.0.0", 0) as slow:
        port = slow.sockets[0].getsockname()[1]
        for number in range(50):
            await ended(service, f"http://127.0.0.{number % hosts + 1}:{port}/")
        await ended(service, receiver.url)
        sender = WebhookSender(service.storage.webhooks, run_json)
        async with open_client(WebhookSection(), 300) as http:
            begins = asyncio.create_task(sender.send_all_due(http))
            told = await receiver.first()
            await begins
            await sender.close()

    assert told["status"] == "success"


async def test_a_call_that_gets_no_slot_in_time_is_given_back_and_counts_for_nothing(
    service: Service, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "CALLS", 0)
    monkeypatch.setattr(webhooks, "SLOT_SECONDS", 0.01)
    monkeypatch.setattr(webhooks, "RETRY_SECONDS", 0.0)
    await ended(service, receiver.url)

    made = await send(Impatient(service.storage.webhooks), rounds=MOST_ATTEMPTS + 1)
    again = await service.storage.webhooks.claim(10, [60.0])

    assert made == [1] * (MOST_ATTEMPTS + 1)
    assert [call.attempt for call in again] == [1]
    assert receiver.calls == []


async def test_a_call_that_nobody_takes_is_given_up(service: Service, receiver: Receiver) -> None:
    receiver.answers = [503] * 100
    run = await service.running(webhook=receiver.url)
    await service.storage.queue.finish(run, "r1", Outcome("success"))

    made = await send(Impatient(service.storage.webhooks), rounds=MOST_ATTEMPTS + 2)

    assert sum(made) == len(receiver.calls) == MOST_ATTEMPTS


async def test_a_call_that_its_replica_did_not_live_to_make_is_made_by_another(
    service: Service, receiver: Receiver, database_uri: str
) -> None:
    run = await service.running(webhook=receiver.url, delete_thread_after=True)
    await service.storage.queue.finish(run, "r1", Outcome("success", values={"n": 2}))
    (lost,) = await service.storage.webhooks.claim(10, [0.0])

    other = await open_storage(database_uri, StorageOptions(lease_seconds=60))
    made = await send(other.webhooks)
    await other.close()

    assert (lost.attempt, made) == (1, [1])
    assert receiver.calls[0]["values"] == {"n": 2}


async def test_a_call_is_not_made_by_two_replicas_at_once(service: Service, receiver: Receiver) -> None:
    for _ in range(5):
        run = await service.running(webhook=receiver.url)
        await service.storage.queue.finish(run, "r1", Outcome("success"))

    claimed = await asyncio.gather(*(service.storage.webhooks.claim(3, [60.0]) for _ in range(4)))

    told = [webhook.run.run_id for webhooks in claimed for webhook in webhooks]
    assert len(told) == len(set(told)) == 5


async def test_receivers_are_told_of_runs_that_ended_without_a_worker(
    service: Service, receiver: Receiver
) -> None:
    waiting = (await service.enqueue(webhook=receiver.url)).run
    undone = (await service.enqueue(webhook=receiver.url)).run
    await service.storage.queue.cancel(None, [waiting.run_id], "interrupt")
    await service.storage.queue.cancel(None, [undone.run_id], "rollback")

    await send(service.storage.webhooks)

    assert [(call["run_id"], call["status"]) for call in receiver.calls] == [(waiting.run_id, "interrupted")]


async def test_a_run_without_a_webhook_calls_nobody_and_a_deleted_one_neither(
    service: Service, receiver: Receiver
) -> None:
    quiet = await service.running()
    await service.storage.queue.finish(quiet, "r1", Outcome("success"))
    deleted = await service.running(webhook=receiver.url)
    await service.storage.queue.finish(deleted, "r1", Outcome("success"))
    await service.storage.runs.delete(deleted.thread_id, deleted.run_id)

    assert await send(service.storage.webhooks) == [0]


async def test_a_webhook_is_stored_with_a_run_that_is_given_out_at_once(
    service: Service, receiver: Receiver
) -> None:
    new = NewRun(new_id(), new_id(), service.assistant_id, {}, create_thread=True, webhook=receiver.url)
    stored = await service.storage.queue.enqueue(new, QueueLimits(), claim_for="r1")
    await service.storage.queue.finish(stored.run, "r1", Outcome("error", error="ValueError: no"))

    await send(service.storage.webhooks)

    assert stored.claimed
    assert receiver.calls[0]["status"] == "error"
    assert receiver.calls[0]["error"] == {"error": "ValueError", "message": "no"}


async def ended(service: Service, url: str) -> None:
    run = await service.running(webhook=url)
    await service.storage.queue.finish(run, "r1", Outcome("success"))


async def test_each_call_has_the_headers_that_the_service_names(service: Service, receiver: Receiver) -> None:
    await ended(service, receiver.url)

    await send(
        service.storage.webhooks, headers={"Authorization": "Bearer t", "Content-Type": "application/x"}
    )

    assert "authorization: bearer t\r\n" in receiver.heads[0]
    assert receiver.heads[0].count("content-type:") == 1


async def test_a_receiver_is_told_no_more_than_the_fields_that_the_service_allows(
    service: Service, receiver: Receiver
) -> None:
    await ended(service, receiver.url)

    await send(service.storage.webhooks, allowed_fields=frozenset({"run_id", "status", "webhook_sent_at"}))

    assert receiver.calls[0].keys() == {"run_id", "status", "webhook_sent_at"}


@pytest.mark.parametrize(
    "policy",
    [
        UrlPolicy(disable_loopback=True),
        UrlPolicy(require_https=True),
        UrlPolicy(allowed_domains=("hooks.example.com",)),
        UrlPolicy(allowed_ports=(443,)),
    ],
)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_receiver_that_a_rule_forbids_is_given_up_without_a_call(
    service: Service, receiver: Receiver, policy: UrlPolicy, host: str
) -> None:
    await ended(service, receiver.url.replace("127.0.0.1", host))

    made = await send(Impatient(service.storage.webhooks), rounds=2, url=policy)

    assert (made, receiver.calls) == ([1, 0], [])


async def test_a_name_that_leads_to_this_machine_is_no_way_around_the_rule(
    service: Service, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    leads_to(monkeypatch, "hooks.example.com", "127.0.0.1")
    await ended(service, receiver.url.replace("127.0.0.1", "hooks.example.com"))

    made = await send(Impatient(service.storage.webhooks), rounds=2, url=UrlPolicy(disable_loopback=True))

    assert (made, receiver.calls) == ([1, 0], [])


async def test_a_call_goes_to_the_address_that_was_checked_under_the_name_that_was_given(
    service: Service, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = leads_to(monkeypatch, "hooks.example.com", "127.0.0.1")
    url = receiver.url.replace("127.0.0.1", "hooks.example.com")
    await ended(service, url)

    await send(service.storage.webhooks, url=UrlPolicy(disable_private_ips=True))

    assert f"host: {url.split('/')[2]}\r\n" in receiver.heads[0]
    assert asked == ["hooks.example.com"]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ALL_PROXY", "socks4://me:hidden@proxy:1080", "ALL_PROXY: socks4://me:***@proxy:1080: must be"),
        ("http_proxy", "http://proxy:port", "http_proxy: (not shown): must be"),
        ("NO_PROXY", "[::1", "NO_PROXY: [::1: must be"),
        ("SSL_CERT_FILE", "/no/such/file", "SSL_CERT_FILE: /no/such/file: must name certificates"),
    ],
)
async def test_an_environment_that_no_call_can_be_made_in_ends_no_replica(
    name: str, value: str, said: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)

    with capture_logs() as logs:
        http = open_client(WebhookSection(), PATIENCE_SECONDS)
    with pytest.raises(httpx.ConnectError) as failed:
        await call(http, WebhookSection(), receiver.url, b"{}")

    assert [each["event"] for each in logs] == ["webhooks.environment"]
    assert str(failed.value) == logs[0]["reason"]
    assert logs[0]["reason"].startswith(said)
    assert "hidden" not in logs[0]["reason"]


@pytest.mark.parametrize(
    "environment",
    [
        {"ALL_PROXY": "socks4://proxy:1080", "NO_PROXY": "localhost,127.0.0.1"},
        {"HTTPS_PROXY": "http://proxy:port"},
    ],
    ids=["its host", "another scheme"],
)
async def test_a_receiver_that_needs_no_proxy_is_called_where_that_can_not_be_used(
    environment: dict[str, str], receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    async with open_client(WebhookSection(), PATIENCE_SECONDS) as http:
        answer = await call(http, WebhookSection(), receiver.url, b"{}")
        with pytest.raises(httpx.ConnectError, match=r"PROXY: .*: must be http://host:port"):
            await call(http, WebhookSection(), "https://hooks.example.com", b"{}")

    assert answer.status_code == 200
    assert len(receiver.calls) == 1


async def test_a_proxy_that_can_be_used_is_where_another_can_not(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks4://proxy:1080")
    monkeypatch.setenv("HTTP_PROXY", receiver.url.removeprefix("http://").partition("/")[0])

    async with open_client(WebhookSection(), PATIENCE_SECONDS) as http:
        await call(http, WebhookSection(), "http://hooks.example.com/done", b"{}")

    assert receiver.heads[0].startswith("post http://hooks.example.com/done ")


async def test_a_proxy_by_socks_is_named_with_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    # As where the package is not installed.
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv("ALL_PROXY", "socks5://proxy:1080")

    with capture_logs() as logs:
        open_client(WebhookSection(), PATIENCE_SECONDS)

    assert (
        logs[0]["reason"] == "ALL_PROXY: socks5://proxy:1080: needs httpx[socks] installed beside lgs-runtime"
    )


async def test_where_webhooks_are_taken_away_nobody_is_called(service: Service, receiver: Receiver) -> None:
    await ended(service, receiver.url)

    made = await send(Impatient(service.storage.webhooks), rounds=2, enabled=False)

    assert (made, receiver.calls) == ([1, 0], [])


@pytest.mark.parametrize("disabled", [frozenset(), frozenset({"webhooks"})], ids=["called", "disabled"])
async def test_a_replica_calls_receivers_unless_its_file_has_taken_webhooks_away(
    service: Service, receiver: Receiver, disabled: frozenset[Any]
) -> None:
    await ended(service, receiver.url)
    settings = Settings(http=HttpSection(disabled=disabled))
    services: Any = SimpleNamespace(settings=settings, storage=service.storage)
    sender = webhook_sender(services)

    async with open_client(settings.webhooks, PATIENCE_SECONDS) as http:
        await sender.send_due(http)
        await sender.settled()

    assert len(receiver.calls) == (0 if disabled else 1)


def leads_to(monkeypatch: pytest.MonkeyPatch, name: str, address: str) -> list[str]:
    """Lets a name lead to an address, as a name server that means harm does; gives the names that are asked
    for."""
    asked: list[str] = []
    look_up = socket.getaddrinfo

    def answer(host: Any, *more: Any, **named: Any) -> Any:
        asked.append(host)
        return look_up(address if host == name else host, *more, **named)

    loop = asyncio.get_running_loop()

    async def look(host: Any, *more: Any, **named: Any) -> Any:
        return answer(host, *more, **named)

    monkeypatch.setattr(loop, "getaddrinfo", look)
    return asked
