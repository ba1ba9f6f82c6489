"""Alerts of a manifest against a real API server: conditions, Events, the status, and who is called."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

import pytest

from controlplane.controlplane_server import ControlPlane
from controlplane.fake_kubelet import FakeKubelet
from controlplane.manifests import service
from controlplane.operators import Operators
from controlplane.story import Story
from lgs_operator.kube.kinds import SERVICE_OF_OURS
from support.alerts import SECRET
from support.receiver import Receiver, receiving
from support.waiting import until

pytestmark = pytest.mark.controlplane
HERE = {"LGS_OPERATOR_WEBHOOK_NETWORKS": "127.0.0.0/8"}
"""The receiver of a story is on this machine."""
TAKEN = 'result="taken"'
BUSY = {"name": "Busy", "metric": "queueDepth", "operator": "gt", "threshold": 10}


def alerting(*rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A service of one replica with these rules."""
    alerts = {"rules": list(rules)} | more
    return service(scaling={"mode": "Manual"}, replicas=1, observability={"alerts": alerts})


def webhook(url: str, secret: str = "signing") -> dict[str, Any]:
    return {"url": url, "secret": {"name": secret}}


def signs(story: Story) -> None:
    made = ("create", "secret", "generic", "signing", f"--from-literal=secret={SECRET}")
    story.plane.run(*made, "-n", story.namespace)


def told_to(receiver: Receiver) -> list[str]:
    """What its receiver was told, one after the other. A call that is answered late, as on a busy machine, is
    made again."""
    return [status for status, _ in groupby(each["status"] for each in receiver.calls)]


async def alerts_of(story: Story) -> dict[str, dict[str, Any]]:
    status = (await story.get(SERVICE_OF_OURS)).get("status", {})
    return {each["name"]: each for each in status.get("alerts", [])}


async def alert_is(story: Story, state: str, name: str = "Busy", **more: Any) -> dict[str, Any]:
    """The line of an alert in the status, once it is so."""
    seen: dict[str, Any] = {}

    async def is_so() -> dict[str, Any] | None:
        nonlocal seen
        seen = (await alerts_of(story)).get(name, {})
        found = {"state": seen.get("state")} | {each: seen.get(each) for each in more}
        return seen if found == {"state": state} | more else None

    return await until(is_so, lambda: f"{name} is {seen}, not {state} {more}")


async def test_an_alert_fires_and_ends_for_whoever_looks_and_for_its_receiver(
    story: Story, operators: Operators
) -> None:
    async with receiving() as receiver, FakeKubelet(story.cluster, story.namespace) as pods:
        operator = await operators.start(env=HERE)
        signs(story)
        story.apply(alerting(BUSY | {"severity": "critical", "webhook": webhook(receiver.url)}))
        await story.has_condition("Alerting", "False", "NoneFiring")

        pods.load.serves(per_second=1, run_seconds=0.1, waiting=30)
        told = await story.has_condition("Alerting", "True", "AlertsFiring")
        assert told["message"] == "1 fire: Busy (critical): queueDepth above 10: it is 30"
        await alert_is(story, "Firing", severity="critical", value=30, unsent=None)
        assert await story.event("AlertFiring") == "Busy (critical): queueDepth above 10: it is 30"
        await operator.shows("lgs_operator_service_alert_firing", 1)

        pods.load.idle()
        await story.has_condition("Alerting", "False", "NoneFiring")
        await alert_is(story, "Resolved", unsent=None)
        await story.event("AlertResolved", "Busy: queueDepth above 10: over: it is 0")
        await operator.shows("lgs_operator_service_alert_firing", 0)

    assert told_to(receiver) == ["firing", "resolved"]
    labels = receiver.calls[0]["alerts"][0]["labels"]
    assert (labels["namespace"], labels["service"]) == (story.namespace, "support")
    assert await operator.metric("lgs_operator_alert_webhooks_total", TAKEN) == 2
    assert await operator.metric("lgs_operator_internal_errors_total") == 0


async def test_a_silent_replica_neither_fires_nor_ends_an_alert(story: Story, operators: Operators) -> None:
    async with FakeKubelet(story.cluster, story.namespace) as pods:
        operator = await operators.start()
        story.apply(alerting(BUSY))
        pods.load.serves(per_second=1, run_seconds=0.1, waiting=30)
        await story.has_condition("Alerting", "True", "AlertsFiring")

        pods.load.idle()
        pods.load.answers = False
        scrapes = await operator.metric("lgs_operator_scrapes_total")

        async def asked_for_long() -> bool:
            return await operator.metric("lgs_operator_scrapes_total") > scrapes + 40

        await until(asked_for_long)
        await story.has_condition("Alerting", "True", "AlertsFiring")

        pods.load.answers = True
        await story.has_condition("Alerting", "False", "NoneFiring")


async def test_another_operator_goes_on_with_what_fires_and_tells_what_was_not_taken(
    story: Story, operators: Operators
) -> None:
    async with receiving() as receiver, FakeKubelet(story.cluster, story.namespace) as pods:
        receiver.answers = [500] * 50
        first = await operators.start(env=HERE)
        signs(story)
        story.apply(alerting(BUSY | {"webhook": webhook(receiver.url)}, BUSY | {"name": "Silent"}))
        pods.load.serves(per_second=1, run_seconds=0.1, waiting=30)
        before = await alert_is(story, "Firing", unsent="firing", webhookError="it answered 500")
        await story.event("WebhookFailed", "Busy: not told: it answered 500")
        await operators.kill(first)
        receiver.answers, receiver.calls = [], []

        second = await operators.start(env=HERE)

        after = await alert_is(story, "Firing", unsent=None)
        assert (after["firedAt"], after["since"]) == (before["firedAt"], before["since"])
        assert told_to(receiver) == ["firing"]
        assert await second.metric("lgs_operator_alert_webhooks_total", TAKEN) == 1, "that is told once"
        pods.load.idle()
        await alert_is(story, "Resolved", unsent=None)
    assert told_to(receiver) == ["firing", "resolved"]


async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await asyncio.sleep(3600)
    finally:
        writer.close()


async def test_receivers_that_hang_slow_down_neither_the_service_nor_another_ones_alerts(
    story: Story, operators: Operators
) -> None:
    """The service with them is scaled and told of meanwhile, as is its neighbour."""
    async with (
        await asyncio.start_server(hangs, "127.0.0.1", 0) as server,
        receiving() as receiver,
        FakeKubelet(story.cluster, story.namespace) as pods,
    ):
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
        operator = await operators.start(env=HERE)
        signs(story)
        hung = [BUSY | {"name": f"Hangs{number}", "webhook": webhook(url)} for number in range(10)]
        story.apply(alerting(*hung))
        neighbour = alerting(BUSY | {"webhook": webhook(receiver.url)})
        story.apply(neighbour | {"metadata": {"name": "neighbour"}})
        pods.load.serves(per_second=1, run_seconds=0.1, waiting=30)

        assert (await receiver.first())["status"] == "firing"
        await alert_is(story, "Firing", "Hangs9", unsent="firing")
        scrapes = await operator.metric("lgs_operator_scrapes_total")

        async def goes_on() -> bool:
            return await operator.metric("lgs_operator_scrapes_total") > scrapes + 10

        await until(goes_on, "replicas are not asked any more")
        pods.load.idle()
        await story.has_condition("Alerting", "False", "NoneFiring")


async def test_where_it_may_not_be_called_or_not_signed_that_is_told(
    story: Story, operators: Operators
) -> None:
    """By default a tenant has the operator call nothing that is not reachable from everywhere."""
    async with receiving() as receiver, FakeKubelet(story.cluster, story.namespace) as pods:
        await operators.start()
        signs(story)
        unsigned = webhook("https://example.com/x", "nobody")
        story.apply(
            alerting(
                BUSY | {"name": "Inside", "webhook": webhook(receiver.url)},
                BUSY | {"name": "Metadata", "webhook": webhook("http://169.254.169.254/latest")},
                BUSY | {"name": "Unsigned", "webhook": unsigned},
            )
        )
        pods.load.serves(per_second=1, run_seconds=0.1, waiting=30)

        for name in ("Inside", "Metadata"):
            line = await alert_is(story, "Firing", name, unsent=None)
            assert "reachable from everywhere" in line["webhookError"]
        missing = f"there is no Secret nobody in namespace {story.namespace}; create it"
        await alert_is(story, "Firing", "Unsigned", unsent="firing", webhookError=missing)
    assert receiver.calls == []


async def test_a_rule_that_is_taken_away_while_it_fires_is_over(story: Story, operators: Operators) -> None:
    async with receiving() as receiver, FakeKubelet(story.cluster, story.namespace) as pods:
        await operators.start(env=HERE)
        signs(story)
        story.apply(alerting(BUSY, webhook=webhook(receiver.url)))
        pods.load.serves(per_second=1, run_seconds=0.1, waiting=30)
        await alert_is(story, "Firing", unsent=None)

        story.apply(service(scaling={"mode": "Manual"}, replicas=1))

        async def nothing_said() -> bool:
            status = (await story.get(SERVICE_OF_OURS))["status"]
            return "alerts" not in status and "Alerting" not in json.dumps(status["conditions"])

        await until(nothing_said, "the status still has it")
        await story.event("AlertResolved", "over: the manifest has it no more")
        await until(lambda: told_to(receiver) == ["firing", "resolved"], "its receiver is not told")


def test_the_api_server_refuses_what_can_not_be_measured_with_the_names_that_can(
    plane: ControlPlane, story: Story
) -> None:
    def said(*rules: dict[str, Any], **more: Any) -> str:
        made = json.dumps(alerting(*rules, **more))
        create = ("create", "--dry-run=server", "-n", story.namespace, "-f", "-")
        return plane.run(*create, stdin=made, check=False)

    assert "created" in said(BUSY | {"for": "5m"}, defaults=True)
    wrong = said(BUSY | {"metric": "p95"})
    assert 'Unsupported value: "p95": supported values: "arrivalsPerMinute"' in wrong
    assert '"tokensPerMinute"' in wrong
    assert "must not begin with LGS" in said(BUSY | {"name": "LGSQueueFull"})
    assert "Duplicate value" in said(BUSY, BUSY)
    assert "spec.observability.alerts.rules[0].for" in said(BUSY | {"for": "5"})
    assert "url" in said(BUSY | {"webhook": webhook("ftp://example.com")})
    assert "Required value" in said(BUSY | {"webhook": {"url": "https://example.com"}})


async def test_an_alert_that_is_about_to_fire_waits_for_its_time(story: Story, operators: Operators) -> None:
    patient = BUSY | {"name": "Patient", "for": "1h"}
    async with FakeKubelet(story.cluster, story.namespace) as pods:
        await operators.start()
        story.apply(alerting(patient))
        pods.load.serves(per_second=1, run_seconds=0.1, waiting=30)

        await alert_is(story, "Pending", "Patient")
        await story.has_condition("Alerting", "False", "NoneFiring")
        begun = datetime.now(UTC).replace(microsecond=0)  # as the status has it
        story.apply(alerting(patient, BUSY | {"for": "15s"}))
        fired = await alert_is(story, "Firing")
        await alert_is(story, "Pending", "Patient")

    assert datetime.fromisoformat(fired["firedAt"]) - begun >= timedelta(seconds=15)
