"""What becomes of the alerts of a service when its manifest changes, another one gets its name, or another
operator comes: what is remembered, and who is told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from math import inf, nan
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lgs_crds import parse
from lgs_crds.status import AlertStatus
from lgs_operator.alert_watch import AlertWatch
from lgs_operator.alert_webhooks import AlertWebhooks
from lgs_operator.alerting.definitions import definitions
from lgs_operator.alerting.evaluation import Evaluation, evaluate
from lgs_operator.alerting.notification import Notification
from lgs_operator.backoff import Backoff
from lgs_operator.context import Context
from lgs_operator.kube.kinds import ServiceKey
from lgs_operator.observer import with_those_beside
from lgs_operator.scaling import Memory
from lgs_operator.status.alerts import alerts_view, states_before
from lgs_operator.webhook_calls import NotTaken, WebhookCaller
from support.alerts import SECRET, observed, replica, rule, spec
from support.waiting import until

KEY = ServiceKey("team", "support")
START = 1_700_000_000.0


def webhook(url: str, secret: str = "signing") -> dict[str, Any]:
    return {"url": url, "secret": {"name": secret}}


@dataclass
class Told:
    """The caller of receivers that are not there: what they were sent. `down` do not take it."""

    calls: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    down: set[str] = field(default_factory=set)
    secrets: list[str] = field(default_factory=list)

    async def call(self, url: str, headers: Mapping[str, str], body: bytes) -> None:
        said = json.loads(body)
        self.calls.append((url, said["status"]))
        self.bodies.append(said)
        if url in self.down:
            raise NotTaken("it answered 503")

    async def secret(self, told: Notification) -> str:
        self.secrets.append(told.secret.name)
        return SECRET


@dataclass
class Recorder:
    """Events, and nobody to write them to."""

    events: list[tuple[str, str]] = field(default_factory=list)

    async def emit(self, _: ServiceKey, __: str, kind: str, reason: str, message: str) -> None:
        self.events.append((reason, message))


class Watched:
    """A service that is watched, on a clock of the test's own."""

    def __init__(self, told: Told, webhooks: AlertWebhooks) -> None:
        self.told, self.webhooks, self.recorder = told, webhooks, Recorder()
        context = cast(Context, SimpleNamespace(recorder=self.recorder))
        self.watch = AlertWatch(context, webhooks)
        self.now = START

    async def sees(
        self,
        waiting: int,
        *rules: dict[str, Any],
        uid: str = "1",
        before: Mapping[str, Any] | None = None,
        **alerts: Any,
    ) -> list[AlertStatus]:
        self.now += 5
        body = {
            "apiVersion": "lgs.dev/v1alpha1",
            "kind": "LangGraphService",
            "metadata": {"name": "support", "namespace": "team", "uid": uid},
            "spec": {
                "image": "example.com/support:1",
                "observability": {"alerts": {"rules": list(rules), **alerts}},
            },
        }
        answer = observed(self.now, replica(at=self.now, waiting=waiting))
        view = await self.watch.observe(KEY, parse(body), answer, before or {}, self.now)
        return list(view.alerts)

    async def calls(self, count: int) -> list[tuple[str, str]]:
        await until(lambda: len(self.told.calls) >= count, "the receiver is not called")
        return self.told.calls


@asynccontextmanager
async def watching(*down: str, pauses: float = 3600) -> AsyncIterator[Watched]:
    """`down`: receivers that take nothing."""
    told = Told(down=set(down))
    webhooks = AlertWebhooks(
        cast(WebhookCaller, told), told.secret, pauses=Backoff(pauses, pauses), words_seconds=0
    )
    try:
        yield Watched(told, webhooks)
    finally:
        await webhooks.close()


WRONG, RIGHT = "https://wrong.example/x", "https://right.example/x"


async def test_who_mends_the_address_of_a_receiver_is_told_there_what_was_not_taken() -> None:
    async with watching(WRONG) as service:
        await service.sees(20, rule(webhook=webhook(WRONG)))
        assert await service.calls(1) == [(WRONG, "firing")]

        await service.sees(20, rule(webhook=webhook(RIGHT)))

        assert await service.calls(2) == [(WRONG, "firing"), (RIGHT, "firing")]


async def test_who_mends_it_after_the_last_attempt_is_told_what_still_fires() -> None:
    async with watching(WRONG, pauses=0.001) as service:
        await service.sees(20, rule(webhook=webhook(WRONG)))
        await service.calls(12)
        assert (await service.sees(20, rule(webhook=webhook(WRONG))))[0].unsent is None

        await service.sees(20, rule(webhook=webhook(RIGHT)))

        assert (await service.calls(13))[12:] == [(RIGHT, "firing")]


async def test_a_receiver_that_comes_while_it_fires_is_told() -> None:
    async with watching() as service:
        await service.sees(20, rule())

        await service.sees(20, rule(webhook=webhook(RIGHT)))

        assert await service.calls(1) == [(RIGHT, "firing")]


async def test_another_secret_signs_at_once_what_was_not_taken_and_nothing_again_that_was() -> None:
    async with watching(WRONG) as service:
        await service.sees(20, rule(webhook=webhook(WRONG, "old")))
        await service.calls(1)
        await service.sees(20, rule(webhook=webhook(WRONG, "new")))
        await service.calls(2)
        assert service.told.secrets == ["old", "new"]
        service.told.down.clear()
        await service.sees(20, rule(webhook=webhook(WRONG, "newer")))
        await service.calls(3)
        await until(lambda: service.webhooks.results("team", "support"), "it was not taken")

        for name in ("newer", "newest"):
            await service.sees(20, rule(webhook=webhook(WRONG, name)))

        assert service.told.secrets == ["old", "new", "newer"]


async def test_a_receiver_that_is_taken_away_is_called_no_more() -> None:
    async with watching(WRONG, pauses=0.05) as service:
        await service.sees(20, rule(webhook=webhook(WRONG)))
        await service.calls(2)

        (line,) = await service.sees(20, rule())

        assert (line.unsent, line.webhook_error) == (None, None)
        await until(lambda: not service.webhooks._lines, "it is tried again and again")


async def test_another_service_of_the_name_tells_nothing_of_the_one_before() -> None:
    async with watching(WRONG) as service:
        await service.sees(20, rule(webhook=webhook(WRONG)))
        await service.calls(1)

        late = {"alerts": [{"name": "Other", "state": "Firing", "unsent": "firing"}]}
        assert await service.sees(0, rule(name="Other", webhook=webhook(RIGHT)), uid="2", before=late) == []

        await until(lambda: not service.webhooks._lines, "the one before is told of for ever")
        assert service.told.calls == [(WRONG, "firing")]


async def test_an_operator_that_comes_while_it_is_about_to_fire_again_tells_when_it_was_over() -> None:
    """It fired, was over, nobody took that, and it is so again for a time that is not enough."""
    slow = rule(webhook=webhook(RIGHT), **{"for": "10s"})
    async with watching(RIGHT) as first:
        lines = [await first.sees(waiting, slow) for waiting in (20, 20, 20, 0, 20)]
    (line,) = lines[-1]
    assert (line.state, line.unsent) == ("Pending", "resolved")
    status = {"alerts": [line.model_dump(by_alias=True, exclude_none=True)]}

    async with watching() as second:
        second.now = first.now
        await second.sees(20, slow, before=status)
        await second.calls(1)

    (alert,) = second.told.bodies[0]["alerts"]
    assert alert["status"] == "resolved"
    assert alert["startsAt"] <= alert["endsAt"]


@pytest.mark.parametrize(
    "time",
    ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00", "soon", "", "0" * 4000],
)
async def test_times_of_a_status_that_are_none_end_nothing(time: str) -> None:
    """Who may write a status writes what they like."""
    line = {"name": "Watched", "state": "Firing", "since": time, "firedAt": time, "unsent": "firing"}

    async with watching() as service:
        (fires,) = await service.sees(20, rule(webhook=webhook(RIGHT)), before={"alerts": [line]})
        assert fires.state == "Firing"
        await service.calls(1)


@pytest.mark.parametrize("value", [inf, -inf, nan])
@pytest.mark.parametrize("operator", ["gt", "lt", "ne"])
def test_what_is_no_number_is_no_data(value: float, operator: str) -> None:
    """JSON has no such values, so that the API server would take no status of the service any more."""
    wanted = definitions(spec({"rules": [rule("oldestWaitSeconds", operator)]}))
    answer = observed(START, replica(at=START, waiting=1, oldest_seconds=value))

    after = evaluate(Evaluation(), wanted, answer, START)

    assert alerts_view(after).alerts == ()


def test_a_canary_is_part_of_what_is_measured() -> None:
    """Prometheus, which has the same rules, reads it as every replica."""
    stable = observed(START, replica("stable", at=START, in_use=0, waiting=0))
    pods = [
        {
            "metadata": {"name": name, "namespace": "team"},
            "status": {"podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]},
            "spec": {"containers": [{"name": "runtime", "ports": [{"name": "http", "containerPort": 8000}]}]},
        }
        for name in ("canary-1", "canary-2")
    ]

    seen = with_those_beside(stable, (replica("canary-1", at=START, in_use=8, waiting=0),), pods)

    wanted = definitions(spec({"rules": [rule("slotUtilization", "gt", 0.4)]}))
    (line,) = alerts_view(evaluate(Evaluation(), wanted, seen, START)).alerts
    assert line.state == "Firing"
    assert (len(seen.samples), seen.failed, stable.failed) == (2, 1, 0)


def test_of_what_fires_the_next_operator_knows_all() -> None:
    wanted = definitions(spec({"rules": [rule(webhook=webhook(RIGHT))]}))
    after = evaluate(Evaluation(), wanted, observed(START, replica(at=START, waiting=20)), START)

    (line,) = alerts_view(after).alerts
    kept = states_before({"alerts": [line.model_dump(by_alias=True, exclude_none=True)]}, START + 60)

    assert kept == after.states


@pytest.mark.parametrize("away", [60, 86_400])
async def test_the_time_without_an_operator_or_of_a_pause_does_not_count(away: float) -> None:
    """It was so for 30 seconds of 60, and then nobody looked."""
    slow = rule(**{"for": "60s"})
    async with watching() as first:
        for _ in range(7):
            (line,) = await first.sees(20, slow)
    memory = Memory(at=first.now).to_json()
    status = {
        "alerts": [line.model_dump(by_alias=True, exclude_none=True)],
        "scaling": {"memory": memory},
    }

    async with watching() as second:
        second.now = first.now + away
        states = [(await second.sees(20, slow, before=status))[0].state for _ in range(8)]

    assert states == ["Pending"] * 6 + ["Firing"] * 2
