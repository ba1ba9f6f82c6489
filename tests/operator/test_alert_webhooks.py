"""The receivers of alerts, as real servers on this machine: what they are sent, and what comes of those that
don't take it."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import socket
import ssl
import subprocess
import time
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lgs_crds.model.alerts import WebhookSecret
from lgs_operator.alert_webhooks import AlertWebhooks, Result
from lgs_operator.alerting.definitions import definitions
from lgs_operator.alerting.notification import Notification, notification, signing_key
from lgs_operator.alerting.states import AlertState
from lgs_operator.backoff import Backoff
from lgs_operator.receivers import Receivers
from lgs_operator.webhook_calls import Forbidden, NotTaken, webhook_caller
from support.alerts import SECRET, rule, spec
from support.ports import PATIENCE_SECONDS
from support.receiver import Receiver, receiving
from support.waiting import until

QUICK = Backoff(first_seconds=0.01, longest_seconds=0.02)
ANYBODY = Receivers(anybody=True)
FIRED = AlertState("Firing", since=1_700_000_000, value=12.0, fired_at=1_700_000_000)
OVER = replace(FIRED, phase="Resolved", value=1.0, resolved_at=1_700_000_600)
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def told(url: str, service: str = "support", *, name: str = "Watched", over: bool = False) -> Notification:
    """The call for an alert that fires, or is over."""
    webhook = {"url": "https://example.com/x", "secret": {"name": "signing"}}
    (definition,) = definitions(spec({"rules": [rule(name=name, severity="critical", webhook=webhook)]}))
    state = OVER if over else FIRED
    made = notification("team", service, definition, state, "resolved" if over else "firing")
    assert made is not None
    return replace(made, url=url)


async def secret(_: Notification) -> str:
    return SECRET


@asynccontextmanager
async def sending(
    receivers: Receivers = ANYBODY,
    *,
    seconds: float = PATIENCE_SECONDS,
    pauses: Backoff = QUICK,
    secret: Callable[[Notification], Awaitable[str]] = secret,
    words_seconds: float = 60.0,
) -> AsyncIterator[AlertWebhooks]:
    async with webhook_caller(receivers, seconds) as caller:
        webhooks = AlertWebhooks(caller, secret, pauses=pauses, words_seconds=words_seconds)
        try:
            yield webhooks
        finally:
            await webhooks.close()


async def result(webhooks: AlertWebhooks, service: str = "support", alert: str = "Watched") -> Result:
    """The next one of a service."""
    found = await until(lambda: webhooks.results("team", service), "nothing came of the call")
    return found[alert]


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[str]:
    """The address of a server that answers so."""

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        except OSError:
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(once, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/told"


async def test_a_receiver_of_alertmanagers_webhooks_takes_it_and_can_check_who_sent_it() -> None:
    async with receiving() as receiver, sending() as webhooks:
        webhooks.tell(told(receiver.url))
        assert (await result(webhooks)) == Result(told(receiver.url), None, True)
        webhooks.tell(told(receiver.url, over=True))
        await result(webhooks)

    fires, over = receiver.calls
    assert (fires["version"], fires["status"], over["status"]) == ("4", "firing", "resolved")
    (alert,), (ended,) = fires["alerts"], over["alerts"]
    assert alert["labels"] == {
        "alertname": "Watched",
        "severity": "critical",
        "namespace": "team",
        "service": "support",
        "metric": "queueDepth",
    }
    assert alert["annotations"]["summary"] == "Watched of team/support: queueDepth above 10"
    assert alert["annotations"]["description"] == "it is 12"
    assert (alert["startsAt"], alert["endsAt"]) == ("2023-11-14T22:13:20Z", "0001-01-01T00:00:00Z")
    assert (ended["startsAt"], ended["endsAt"]) == (alert["startsAt"], "2023-11-14T22:23:20Z")
    assert ended["fingerprint"] == alert["fingerprint"]
    head = dict(line.split(": ", 1) for line in receiver.heads[0].splitlines()[1:] if line)
    assert head["content-type"] == "application/json"


async def signed_by(head: dict[str, str], body: bytes) -> str:
    """The signature as a receiver works it out, by the text of Standard Webhooks."""
    signed = f"{head['webhook-id']}.{head['webhook-timestamp']}.".encode() + body
    key = b64decode(SECRET.removeprefix("whsec_"))
    return "v1," + b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


async def test_each_attempt_is_signed_and_has_the_id_of_the_first() -> None:
    seen: list[tuple[dict[str, str], bytes]] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()[1:]
        head = {name.lower(): value for name, _, value in (each.partition(": ") for each in lines if each)}
        body = await reader.readexactly(int(head["content-length"]))
        seen.append((head, body))
        status = b"500" if len(seen) < 3 else b"204"
        writer.write(b"HTTP/1.1 " + status + b" X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()

    async with serving(answer) as url, sending() as webhooks:
        webhooks.tell(told(url))
        await until(lambda: len(seen) == 3, "it is not tried again")
        last = await until(lambda: taken(webhooks), "it was not taken")

    assert last.error is None
    assert {head["webhook-id"] for head, _ in seen} == {told(url).identity}
    for head, body in seen:
        assert head["webhook-signature"] == await signed_by(head, body)
        assert json.loads(body)["status"] == "firing"
        assert head["host"] == url.split("/")[2]


def taken(webhooks: AlertWebhooks) -> Result | None:
    found = webhooks.results("team", "support").get("Watched")
    return found if found is not None and found.final else None


async def test_who_never_takes_it_is_left_after_a_dozen_attempts() -> None:
    calls = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n")

    async with serving(answer) as url, sending() as webhooks:
        webhooks.tell(told(url))
        last = await until(lambda: taken(webhooks), "it goes on for ever")

    assert (calls, last.error) == (12, "it answered 503")


async def test_a_redirect_is_not_followed() -> None:
    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 307 X\r\nLocation: " + other.url.encode() + b"\r\nContent-Length: 0\r\n\r\n")

    async with receiving() as other, serving(elsewhere) as url, sending() as webhooks:
        webhooks.tell(told(url))
        found = await result(webhooks)

    assert found.error == "it answered 307: redirects are not followed"
    assert other.calls == []


async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


async def answers_for_ever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        await writer.drain()


async def heads_for_ever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X: " + b"y" * 4000 + b"\r\n")
        await writer.drain()


async def talks_nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x00\xff" * 100)


async def will_answer_for_ever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)
        await writer.drain()


async def heads_of_nothing_for_ever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 103 Early Hints\r\n")
    while True:
        writer.write(b"a: b\r\n" * 1000)
        await writer.drain()


async def closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    pass


async def says_one_line_for_ever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 200 " + b"O" * 4000)
        await writer.drain()


IMPOSSIBLE = (
    hangs,
    talks_nonsense,
    will_answer_for_ever,
    heads_of_nothing_for_ever,
    closes,
    says_one_line_for_ever,
)


@pytest.mark.parametrize("answer", IMPOSSIBLE, ids=lambda each: each.__name__)
async def test_a_receiver_that_does_not_answer_as_it_should_has_not_taken_it(answer: Answer) -> None:
    async with serving(answer) as url, sending(seconds=0.5) as webhooks:
        webhooks.tell(told(url))

        assert (await result(webhooks)).error is not None


@pytest.mark.parametrize("answer", [will_answer_for_ever, heads_of_nothing_for_ever, says_one_line_for_ever])
async def test_what_never_comes_to_an_answer_is_not_read_until_the_time_is_up(answer: Answer) -> None:
    """The operator's one thread would do nothing else meanwhile."""
    async with serving(answer) as url, webhook_caller(ANYBODY, seconds=3600) as caller:
        with pytest.raises(NotTaken):
            await caller.call(url, {}, b"{}")


async def test_an_interim_answer_is_none() -> None:
    async def hints(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hint = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" + hint + b"HTTP/1.1 410 Gone\r\n\r\n")
        await writer.drain()

    async with serving(hints) as url, webhook_caller(ANYBODY, PATIENCE_SECONDS) as caller:
        with pytest.raises(NotTaken, match="it answered 410"):
            await caller.call(url, {}, b"{}")


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-hidden\r\n",
        b"-ERR hidden\r\n",
        b"HTTP/1.1 500 hidden\r\n\r\n",
        b"HTTP/1.1 hidden\r\n",
        b"HTTP/1.1 503 X\r\nhidden\r\n\r\n",
        b"HTTP/1.1 307 X\r\nLocation: http://hidden/\r\n\r\n",
    ],
)
async def test_nobody_reads_by_a_receiver_what_is_said_at_its_address(said: bytes) -> None:
    """Whoever writes a manifest would read so what only the operator reaches."""

    async def says(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await writer.drain()

    async with serving(says) as url, sending() as webhooks:
        webhooks.tell(told(url))
        error = (await result(webhooks)).error

    assert error is not None
    assert "hidden" not in error


async def test_nobody_learns_at_which_address_it_is_that_is_not_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lgs_operator.webhook_calls._resolved", lambda *_: ["127.0.0.1"])

    async with webhook_caller(ANYBODY, PATIENCE_SECONDS) as caller:
        with pytest.raises(NotTaken) as refused:
            await caller.call("http://receiver.example:1/x", {}, b"{}")

    assert str(refused.value) == "not reached: Connection refused"


async def test_an_address_that_never_answers_leaves_time_for_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    several = ["127.0.0.3", *["127.0.0.1"] * 3]  # and a try more where this machine stands still meanwhile
    monkeypatch.setattr("lgs_operator.webhook_calls._resolved", lambda *_: several)
    async with receiving() as receiver, webhook_caller(ANYBODY, seconds=20) as caller:
        port = int(receiver.url.split(":")[2].split("/")[0])
        with full(port):
            await caller.call(f"http://two.example:{port}/x", {}, b"{}")

    assert len(receiver.calls) == 1


@contextmanager
def full(port: int) -> Iterator[None]:
    """While open, who connects to this port of 127.0.0.3 gets no answer: so many wait there already."""
    with ExitStack() as sockets:
        listening = sockets.enter_context(socket.socket())
        listening.bind(("127.0.0.3", port))
        listening.listen(0)
        for _ in range(4):
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.3", port))
        yield


@pytest.mark.parametrize("answer", [answers_for_ever, heads_for_ever], ids=lambda each: each.__name__)
async def test_of_an_answer_only_the_status_is_read(answer: Answer) -> None:
    async with serving(answer) as url, sending() as webhooks:
        webhooks.tell(told(url))

        assert (await result(webhooks)).error is None


async def test_receivers_that_hang_hold_up_nobody_elses() -> None:
    """More services than there may be calls, each with ten alerts that hang; and one whose receiver
    answers."""
    async with serving(hangs) as url, receiving() as receiver, sending(seconds=3600) as webhooks:
        for number in range(40):
            for alert in range(10):
                hung = told(url, f"s{number}", name=f"A{alert}")
                webhooks.tell(replace(hung, namespace=f"team-{number % 2}"))
        await asyncio.sleep(0.2)

        webhooks.tell(told(receiver.url))

        assert (await result(webhooks)).error is None


async def test_of_one_alert_the_last_word_is_told() -> None:
    async with receiving() as receiver, sending(pauses=Backoff(3600, 3600)) as webhooks:
        receiver.answers = [500]
        webhooks.tell(told(receiver.url))
        assert (await result(webhooks)).error == "it answered 500"

        webhooks.tell(told(receiver.url, over=True))

        assert (await result(webhooks)).told.told == "resolved"
    assert [each["status"] for each in receiver.calls] == ["firing", "resolved"]


async def test_one_that_flaps_is_told_twice_in_a_minute_and_then_its_last_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It fires and is over each five seconds, and its receiver takes each call at once."""
    now = 1000.0
    clock = SimpleNamespace(monotonic=lambda: now, time=time.time)
    monkeypatch.setattr("lgs_operator.alert_webhooks.time", clock)
    async with receiving() as receiver, sending(words_seconds=60) as webhooks:
        for round_ in range(9):
            webhooks.tell(flapped(receiver.url, round_))
            if round_ < 2:
                await result(webhooks)
            await asyncio.sleep(0)
            now += 5
        webhooks.tell(told(receiver.url, name="Another"))
        await result(webhooks, alert="Another")
        assert [each["status"] for each in receiver.calls] == ["firing", "resolved", "firing"]

        now += 60
        webhooks.tell(flapped(receiver.url, 9))
        await result(webhooks)

    named = [each for each in receiver.calls if each["groupLabels"]["alertname"] == "Watched"]
    assert [each["status"] for each in named] == ["firing", "resolved", "resolved"]
    assert named[-1]["alerts"][0]["endsAt"] == "2023-11-14T22:14:05Z", "the last word, and none between"


def flapped(url: str, number: int) -> Notification:
    """The word of a round of five seconds: by turns it fires and is over."""
    (definition,) = definitions(spec({"rules": [rule(webhook={"url": url, "secret": {"name": "signing"}})]}))
    began = FIRED.since + 5 * (number - number % 2)
    state = replace(FIRED, since=began, fired_at=began, resolved_at=began + 5)
    made = notification("team", "support", definition, state, "resolved" if number % 2 else "firing")
    assert made is not None
    return made


async def test_a_name_that_leads_to_a_wrong_address_for_a_moment_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def resolved(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["10.0.0.1"] if len(asked) == 1 else ["127.0.0.1"]

    monkeypatch.setattr("lgs_operator.webhook_calls._resolved", resolved)
    networks = Receivers(networks=(ip_network("127.0.0.0/8"),))
    async with receiving() as receiver, sending(networks) as webhooks:
        webhooks.tell(told(receiver.url.replace("127.0.0.1", "receiver.example")))
        await until(lambda: receiver.calls, "it is not tried again")

    assert asked == ["receiver.example"] * 2


async def test_the_same_again_is_no_second_call() -> None:
    async with receiving() as receiver, sending(pauses=Backoff(3600, 3600)) as webhooks:
        receiver.answers = [500]
        webhooks.tell(told(receiver.url))
        await result(webhooks)

        for _ in range(5):
            webhooks.tell(told(receiver.url))
        await asyncio.sleep(0.1)

    assert len(receiver.calls) == 1


async def test_a_service_that_is_gone_tells_nobody() -> None:
    async with receiving() as receiver, sending(pauses=Backoff(3600, 3600)) as webhooks:
        receiver.answers = [500]
        webhooks.tell(told(receiver.url))
        await result(webhooks)

        webhooks.forget("team", "support")
        await asyncio.sleep(0.05)
        assert len(receiver.calls) == 1

        webhooks.tell(told(receiver.url))
        assert (await result(webhooks)).error is None, "another one of its name does"


async def test_what_the_operator_may_not_call_is_not_called_and_an_address_not_tried_again() -> None:
    async with receiving() as receiver, sending(Receivers(), words_seconds=0) as webhooks:
        for url in (receiver.url, receiver.url.replace("127.0.0.1", "localhost"), "https://127.0.0.1:1/x"):
            webhooks.tell(told(url))
            found = await result(webhooks)

            assert found.final or "localhost" in url, "a name may lead elsewhere"
            assert "reachable from everywhere" in (found.error or "")
            assert "127.0.0.1" not in (found.error or ""), "nobody learns of it where a name leads"
    assert receiver.calls == []


async def test_the_call_goes_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that leads elsewhere a moment later leads nowhere else."""
    asked: list[str] = []

    def resolved(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    monkeypatch.setattr("lgs_operator.webhook_calls._resolved", resolved)
    async with receiving() as receiver, sending() as webhooks:
        port = receiver.url.split(":")[2]
        webhooks.tell(told(f"http://rebinding.example:{port}"))

        assert (await result(webhooks)).error is None
    assert asked == ["rebinding.example"]
    assert f"host: rebinding.example:{port.split('/')[0]}" in receiver.heads[0]


async def test_one_address_of_several_that_may_not_be_called_is_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lgs_operator.webhook_calls._resolved", lambda *_: ["1.1.1.1", "10.0.0.1"])

    async with webhook_caller(Receivers()) as caller:
        with pytest.raises(Forbidden):
            await caller.call("https://both.example/x", {}, b"{}")


@pytest.mark.parametrize(
    "url", ["http://nowhere.invalid/x", "http://127.0.0.1:1/x", "http://127.0.0.1:99999/x", "http://a..b/x"]
)
async def test_an_address_that_leads_nowhere_is_no_error_of_the_operator(url: str) -> None:
    async with webhook_caller(ANYBODY, PATIENCE_SECONDS) as caller:
        with pytest.raises(NotTaken):
            await caller.call(url, {}, b"{}")


async def test_an_address_that_is_not_reached_is_followed_by_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lgs_operator.webhook_calls._resolved", lambda *_: ["127.0.0.3", "127.0.0.1"])

    async with receiving() as receiver, webhook_caller(ANYBODY, PATIENCE_SECONDS) as caller:
        await caller.call(receiver.url.replace("127.0.0.1", "two.example"), {}, b"{}")

    assert len(receiver.calls) == 1


def certificate(folder: Path) -> tuple[Path, Path]:
    """The key and the certificate of receiver.example, which signs itself."""
    key, made = folder / "key.pem", folder / "certificate.pem"
    names = ("-subj", "/CN=receiver.example", "-addext", "subjectAltName=DNS:receiver.example")
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    command = ("openssl", "req", "-x509", *kind, *names, "-keyout", str(key), "-out", str(made))
    subprocess.run(command, check=True, capture_output=True)
    return key, made


async def test_by_https_the_certificate_must_be_of_the_name_whatever_its_address(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key, made = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    asked_for: list[str | None] = []
    context.sni_callback = lambda _, name, __: asked_for.append(name)
    monkeypatch.setattr("lgs_operator.webhook_calls._resolved", lambda *_: ["127.0.0.1"])
    receiver = Receiver()
    async with await asyncio.start_server(receiver.answer, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]

        async with webhook_caller(ANYBODY, PATIENCE_SECONDS) as stranger:
            with pytest.raises(NotTaken, match="certificate verify failed: self-signed"):
                await stranger.call(f"https://receiver.example:{port}/x", {}, b"{}")
        monkeypatch.setenv("SSL_CERT_FILE", str(made))
        async with webhook_caller(ANYBODY, PATIENCE_SECONDS) as caller:
            with pytest.raises(NotTaken, match=r"not valid for 'other\.example'"):
                await caller.call(f"https://other.example:{port}/x", {}, b"{}")
            assert receiver.calls == []
            await caller.call(f"https://receiver.example:{port}/x", {}, b"{}")

    assert len(receiver.calls) == 1
    assert asked_for[-1] == "receiver.example"


async def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with receiving() as receiver, sending() as webhooks:
        webhooks.tell(told(receiver.url))

        assert (await result(webhooks)).error is None


@pytest.mark.parametrize(
    "text", ["", "secret", "whsec_", "whsec_!!!!", "whsec_c2hvcnQ=", "whsec_" + b64encode(b"x" * 65).decode()]
)
async def test_a_secret_that_can_not_sign_is_told_with_the_rule(text: str) -> None:
    async def wrong(_: Notification) -> str:
        return text

    async with receiving() as receiver, sending(secret=wrong, pauses=Backoff(3600, 3600)) as webhooks:
        webhooks.tell(told(receiver.url))
        found = await result(webhooks)

    assert found.error == "Secret signing: secret: must be whsec_ and then 24 to 64 bytes in base64"
    assert receiver.calls == []


async def test_a_secret_that_is_not_there_yet_is_asked_for_again() -> None:
    asked = 0

    async def late(told: Notification) -> str:
        nonlocal asked
        asked += 1
        assert told.secret == WebhookSecret(name="signing")
        if asked < 3:
            raise NotTaken("there is no Secret signing in namespace team; create it")
        return f"{SECRET}\n"

    async with receiving() as receiver, sending(secret=late) as webhooks:
        webhooks.tell(told(receiver.url))
        assert (await until(lambda: taken(webhooks), "it was not taken")).error is None

    assert len(receiver.calls) == 1
    assert signing_key(f"{SECRET}\n") == signing_key(SECRET)


async def test_an_error_of_the_operators_own_is_that_calls_alone() -> None:
    async def broken(told: Notification) -> str:
        if told.service == "broken":
            raise RuntimeError("boom")
        return SECRET

    async with receiving() as receiver, sending(secret=broken) as webhooks:
        webhooks.tell(told(receiver.url, "broken"))
        assert (await result(webhooks, "broken")).error == "RuntimeError"
        webhooks.tell(told(receiver.url))

        assert (await result(webhooks)).error is None


def test_what_is_sent_is_json_whatever_is_measured() -> None:
    webhook: dict[str, Any] = {"url": "https://example.com/x", "secret": {"name": "signing"}}
    (definition,) = definitions(spec({"rules": [rule(webhook=webhook)]}))

    made = notification("team", "support", definition, replace(FIRED, value=None), "firing")

    assert made is not None
    assert json.loads(made.body)["alerts"][0]["annotations"]["description"] == "it is not known"
