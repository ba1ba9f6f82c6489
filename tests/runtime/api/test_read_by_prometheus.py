"""A real Prometheus reads a real replica and the operator's page, labelled as their PodMonitors say.

It answers each query of the dashboards, with data where there is something to show, and evaluates each rule.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import api_traced  # noqa: F401 - its graph is served
import pytest
import yaml
from api_replicas import Replica, open_replica
from prometheus_client import start_http_server

from lgs_crds import Spec
from lgs_crds.model.observability import Monitoring
from lgs_operator.alerting.definitions import definitions, own_alerts
from lgs_operator.alerting.notification import notification
from lgs_operator.alerting.states import AlertState
from lgs_operator.desired.monitoring import watching
from lgs_operator.kube.kinds import POD_MONITOR, ServiceKey
from lgs_operator.metrics import Metrics
from lgs_operator.monitoring.alerts import RUNBOOK, groups
from lgs_operator.monitoring.generate import RULES
from lgs_operator.monitoring.operator_board import OPERATOR_BOARD
from lgs_operator.monitoring.panels import Board
from lgs_operator.monitoring.selecting import Replicas
from lgs_operator.monitoring.service_alerts import service_alerts
from lgs_operator.monitoring.service_board import service_board
from lgs_runtime.graphs.manifest import GraphSpec
from lgs_runtime.settings import Settings
from support import prometheus
from support.alerts import rule, spec
from support.desired import inputs_of
from support.ports import free_port
from support.receiver import receiving
from support.waiting import until

pytestmark = [prometheus.needed, pytest.mark.usefixtures("unhurried")]
SUPPORT = ServiceKey("team", "support")
OF_SERVICE = frozenset({"Circuits", "Unserved runs", "Cache hits"})
"""Panels of what the story has none of: a breaker, a graph that nobody has, a cache."""
OF_OPERATOR = frozenset(
    {"Not ready", "Not as the manifest says", "Age of the last backup", "Writes", "Scrapes"}
    | {"Errors of the operator itself"}
)


@dataclass(frozen=True)
class Watched:
    """A replica and an operator that Prometheus reads."""

    replica: Replica
    prometheus: prometheus.Prometheus

    async def has(self, query: str) -> None:
        """Returns when a query has a series with a value that is not zero."""

        async def seen() -> bool:
            return any(float(each["value"][1]) > 0 for each in await self.prometheus.ask(query))

        await until(seen, f"{query} gives nothing")


def operator_page() -> Metrics:
    """What the operator tells of the service."""
    metrics = Metrics()
    condition = {"type": "Ready", "status": "True", "reason": "Serving"}
    told = {"desiredReplicas": 1, "readyReplicas": 1, "conditions": [condition]}
    metrics.by_service.reported(SUPPORT, told)
    metrics.by_service.bounded(SUPPORT, 10)
    metrics.leading.set(1)
    for result in ("done", "failed"):
        metrics.reconciles.labels(result)
    metrics.reconcile_seconds.observe(0.01)
    return metrics


def jobs(url: str, operator_port: int) -> list[dict[str, Any]]:
    """As the Prometheus operator has them of the two PodMonitors."""
    (monitor,) = watching(inputs_of("support"), Monitoring(), (POD_MONITOR,))
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    metadata = monitor["metadata"]
    labels = {name: metadata["labels"][name] for name in monitor["spec"]["podTargetLabels"]}
    target = {name.translate(str.maketrans("./-", "___")): text for name, text in labels.items()}
    target |= {"namespace": metadata["namespace"], "pod": "support-1"}
    own = {"namespace": "lgs", "pod": "operator-1"}
    return [
        {
            "job_name": f"{metadata['namespace']}/{metadata['name']}",
            "metrics_path": endpoint["path"],
            "static_configs": [{"targets": [url.removeprefix("http://")], "labels": target}],
        },
        {
            "job_name": "lgs/operator",
            "honor_labels": True,
            "static_configs": [{"targets": [f"127.0.0.1:{operator_port}"], "labels": own}],
        },
    ]


@pytest.fixture
async def watched(alone: Settings, tmp_path: Path) -> AsyncIterator[Watched]:
    graphs = {"agent": GraphSpec("api_traced:agent"), "broken": GraphSpec("api_graphs:broken")}
    page = operator_page()
    server, thread = start_http_server(0, addr="127.0.0.1", registry=page.registry)
    rules = tmp_path / "rules.yaml"
    alerts = service_alerts(Replicas(*SUPPORT), inputs_of("support").service.spec)
    rules.write_text(yaml.safe_dump({"groups": groups("lgs-team-support", alerts)}), "utf-8")
    try:
        async with open_replica(replace(alone, graphs=graphs)) as opened:
            targets = jobs(opened.url, server.server_port)
            with prometheus.running(tmp_path, targets, [rules, RULES]) as running:
                found = Watched(opened, running)
                # A counter must have been seen before it grows.
                await found.has("count_over_time(lgs_runs_finished_total[1h])")
                page.by_service.scaled(SUPPORT, "ScaledOut")
                page.reconcile_seconds.observe(0.02)
                yield found
    finally:
        server.shutdown()
        thread.join()


Answers = dict[tuple[str, str], list[dict[str, Any]]]


async def answers_of(watched: Watched, board: Board) -> Answers:
    """The series of each query, by panel and legend."""
    queries = [(panel.title, query) for panel in board.panels for query in panel.queries]
    return {(title, each.legend): await watched.prometheus.ask(each.expression) for title, each in queries}


async def test_each_query_of_the_dashboards_is_answered_and_each_rule_evaluated(watched: Watched) -> None:
    runs = watched.replica.client.runs
    asks: Any = {"messages": [{"role": "user", "content": "trace"}]}
    await runs.wait(None, "agent", input=asks)
    await runs.wait(None, "broken", input={"text": "x"}, raise_error=False)
    for counter in ('lgs_runs_finished_total{status="success"}', 'lgs_runs_finished_total{status="error"}'):
        await watched.has(f"increase({counter}[1h])")
    for late in (
        "lgs_graph_errors_total",
        "lgs_model_calls_total",
        "lgs_operator_service_scaling_changes_total",
    ):
        await watched.has(f"count_over_time({late}[1h]) - 1")

    await every_panel_shows_something(watched, service_board(Replicas(*SUPPORT)), OF_SERVICE)
    await every_panel_shows_something(watched, OPERATOR_BOARD, OF_OPERATOR)
    await the_panels_say_what_happened(watched)
    await every_rule_is_evaluated(watched)


async def every_panel_shows_something(watched: Watched, board: Board, but: frozenset[str]) -> None:
    """A scrape that a busy machine missed is made good by the next one."""
    empty: set[str] = set()

    async def shown() -> bool:
        nonlocal empty
        empty = {title for (title, _), found in (await answers_of(watched, board)).items() if not found}
        return empty == but

    await until(shown, lambda: f"nothing to show: {sorted(empty)}, expected {sorted(but)}")


async def the_panels_say_what_happened(watched: Watched) -> None:
    """A scrape that was missed empties them for a moment."""
    failure = {"graph": "broken", "node": "fails", "error": "ValueError"}
    said: dict[str, Any] = {}

    async def right() -> bool:
        told = await answers_of(watched, service_board(Replicas(*SUPPORT)))
        for name in (("Latency", "p95"), ("Wait (p95)", "{{priority}}"), ("Runs", "ended")):
            said[name[0]] = any(float(each["value"][1]) > 0 for each in told[name])
        said["ready"] = [float(each["value"][1]) for each in told["Replicas", "ready"]] == [1]
        errors = told["Errors", "{{graph}} {{node}} {{error}}"]
        said["errors"] = [each["metric"] for each in errors] == [failure]
        return all(said.values())

    await until(right, lambda: f"not as it was: {said}")


async def every_rule_is_evaluated(watched: Watched) -> None:
    async def evaluated() -> bool:
        rules = await watched.prometheus.rules()
        return len(rules) > 15 and all(each["health"] == "ok" for each in rules)

    async def quiet() -> bool:
        return await watched.prometheus.alerts() == []

    await until(evaluated, "a rule is not evaluated")
    await until(quiet, "there is an alert, and not for a scrape alone that was missed")


async def test_an_alertmanager_hears_of_a_replica_that_nobody_can_read_and_that_it_is_back(
    alone: Settings, tmp_path: Path
) -> None:
    """Played is what listens in its place, and that the alert needs no quarter of an hour."""
    alerts = service_alerts(Replicas(*SUPPORT), inputs_of("support").service.spec)
    (silent,) = [replace(each, lasts="0s") for each in alerts if each.name == "LGSReplicaNotScraped"]
    rules = tmp_path / "rules.yaml"
    rules.write_text(yaml.safe_dump({"groups": groups("lgs-team-support", [silent])}), "utf-8")
    settings = replace(alone, graphs={"agent": GraphSpec("api_traced:agent")}, port=free_port())
    (target, _) = jobs(f"http://127.0.0.1:{settings.port}", 1)

    async with receiving() as alertmanager:

        async def hears(*, of_its_end: bool) -> dict[str, Any]:
            def told() -> dict[str, Any] | None:
                found: list[Any] = [each for call in alertmanager.calls for each in call]
                # what still fires ends in some minutes, unless it is told again
                ended = [
                    each for each in found if datetime.fromisoformat(each["endsAt"]) <= datetime.now(UTC)
                ]
                return next(iter(ended if of_its_end else found), None)

            return await until(told, f"it does not hear of it; its end: {of_its_end}")

        address = urlsplit(alertmanager.url).netloc
        with prometheus.running(tmp_path, [target], [rules], address):
            firing = await hears(of_its_end=False)
            async with open_replica(settings):
                ended = await hears(of_its_end=True)

    assert firing["annotations"] == {
        "summary": "Prometheus can't read replicas of team/support",
        "description": "1 replicas do not answer Prometheus at /metrics.",
        "runbook": f"{RUNBOOK}#lgsreplicanotscraped",
    }
    assert firing["labels"]["severity"] == "warning"
    assert ended["labels"] == firing["labels"]


@prometheus.alertmanager_needed
async def test_through_a_real_alertmanager_a_rule_of_the_pack_fires_and_is_over_and_one_of_the_manifest_fires(
    alone: Settings, tmp_path: Path
) -> None:
    """Prometheus, Alertmanager and the replica are real; the alert of the pack needs no quarter of an hour.
    What the operator itself sends to receivers has the form of what they are sent."""
    idle = rule("slotUtilization", "lt", 0.5, name="Idle", severity="info")
    webhook = {"url": "https://example.com/x", "secret": {"name": "signing"}}
    made = spec({"rules": [idle | {"webhook": webhook}]})
    pack = [
        replace(each, lasts="0s")
        for each in service_alerts(Replicas(*SUPPORT), made)
        if each.name == "LGSReplicaNotScraped"
    ]
    rules = tmp_path / "rules.yaml"
    both = [*groups("lgs-team-support", pack), *groups("own", own_alerts(Replicas(*SUPPORT), made))]
    rules.write_text(yaml.safe_dump({"groups": both}), "utf-8")
    settings = replace(alone, graphs={"agent": GraphSpec("api_traced:agent")}, port=free_port())
    (target, _) = jobs(f"http://127.0.0.1:{settings.port}", 1)

    async with receiving() as receiver:

        async def told(name: str, status: str) -> dict[str, Any]:
            def seen() -> dict[str, Any] | None:
                of_it = [each for each in receiver.calls if each["groupLabels"] == {"alertname": name}]
                return next((each for each in of_it if each["status"] == status), None)

            return await until(seen, f"{name} is not {status}: {receiver.calls}")

        with (
            prometheus.alerting(tmp_path, receiver.url) as alertmanager,
            prometheus.running(tmp_path, [target], [rules], alertmanager),
        ):
            fired = await told("LGSReplicaNotScraped", "firing")
            async with open_replica(settings):
                over = await told("LGSReplicaNotScraped", "resolved")
                own = await told("Idle", "firing")

    assert fired["commonLabels"]["severity"] == "warning"
    assert fired["commonAnnotations"]["runbook"] == f"{RUNBOOK}#lgsreplicanotscraped"
    assert over["commonLabels"] == fired["commonLabels"]
    assert own["commonAnnotations"]["summary"] == "Idle: slotUtilization of team/support is below 0.5"
    assert form_of(ours(made)) == form_of(own)


def ours(made: Spec) -> dict[str, Any]:
    """What the operator sends of an alert that fires."""
    state = AlertState("Firing", since=1.0, fired_at=1.0, value=0.0)
    sent = notification(*SUPPORT, definitions(made)[0], state, "firing")
    assert sent is not None
    found: dict[str, Any] = json.loads(sent.body)
    return found


def form_of(body: dict[str, Any]) -> dict[str, Any]:
    """Its fields and their types, and what is the same in all of them. Labels and texts are each alert's
    own."""
    (alert,) = body["alerts"]
    fields = {name: type(value).__name__ for name, value in body.items()}
    within = {name: type(value).__name__ for name, value in alert.items()}
    same = (body["version"], body["status"], body["groupLabels"], alert["status"], alert["endsAt"])
    return {"body": fields, "alert": within, "same": same, "fingerprint": len(alert["fingerprint"])}
