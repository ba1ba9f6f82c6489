"""13. What a cluster's own tools see of a service.

Prometheus reads its replicas. While too many runs wait, an alert of the manifest fires in Prometheus, by the
PrometheusRule that the operator makes, and in the operator; when they are done, both say so. A run whose
replica is lost has one trace, whole, from both of its replicas.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.desk import desk, until_condition
from e2e.harness.kubectl import is_ready, run
from e2e.harness.monitoring import TRACES_URL, Monitoring, monitoring
from e2e.harness.report import Report
from e2e.story import Story
from lgs_operator.kube.kinds import MONITORS
from support.collector import Span, of_attempt, orphans
from support.documents import shown
from support.optional_kinds import definitions

WATCHED = "watched"
RULE = f"prometheusrule/{WATCHED}"
PODS = f"lgs.dev/service={WATCHED},app.kubernetes.io/component=runtime"
ALERT = {"name": "RunsWait", "metric": "queueDepth", "operator": "gt", "threshold": 3, "for": "5s"}
FIRING = 'ALERTS{alertname="RunsWait", alertstate="firing"}'
STEPS = (6, 12, 24)
"""Of a run, half a second each: where none was met by the loss of its replica between two steps that were
told, it is played again with more."""


@pytest.fixture(scope="module")
def kinds() -> Iterator[None]:
    """The cluster has the kinds of the Prometheus operator."""
    for path in definitions(MONITORS):
        run("kubectl", "apply", "--server-side", "-f", str(path))
    yield
    for path in definitions(MONITORS):
        run("kubectl", "delete", "-f", str(path))


@pytest.fixture(scope="module")
def rule(story: Story, kinds: None) -> Iterator[dict[str, Any]]:
    """The PrometheusRule of a service with two replicas of two slots."""
    manifest = desk(story, WATCHED)
    manifest["spec"] |= {
        "replicas": 2,
        "workers": {"concurrency": 2},
        "observability": {
            # Prometheus reads it by the page's configuration, since nobody makes one of a PodMonitor.
            "monitoring": {"podMonitor": False},
            "alerts": {"rules": [ALERT]},
            "tracing": {"endpoint": TRACES_URL},
        },
        # What a replica has not sent is lost with it.
        "pod": {"env": [{"name": "OTEL_BSP_SCHEDULE_DELAY", "value": "50"}]},
    }
    story.kubectl.apply(manifest)
    until_condition(story, WATCHED, "Ready", "Serving", 240)
    story.kubectl.until("its PrometheusRule", lambda: story.kubectl("get", RULE, "--ignore-not-found"), 180)
    yield story.kubectl.get(RULE)
    story.kubectl("delete", f"langgraphservice/{WATCHED}", "--wait=true")


@pytest.fixture(scope="module")
def tools(story: Story, rule: dict[str, Any]) -> Iterator[Monitoring]:
    """Prometheus with the service's alerts, and a collector."""
    scrapes = shown("scaling.md", "scrape_configs")
    for each in scrapes["scrape_configs"]:
        each["scrape_interval"] = "1s"
    adapter, groups = shown("scaling.md", "externalRules"), rule["spec"]["groups"]
    with monitoring(story.image("lgs-testing-metrics"), story.keep, scrapes, adapter, groups) as running:
        yield running


def ready_pods(story: Story) -> list[str]:
    return [pod["metadata"]["name"] for pod in story.kubectl.pods(PODS) if is_ready(pod)]


def test_an_alert_fires_and_is_over_and_a_run_whose_replica_is_lost_has_one_whole_trace(
    story: Story, tools: Monitoring, report: Report
) -> None:
    for steps in STEPS:
        summary = play(story, tools, steps)
        assert summary["lost"] == summary["wrong"] == 0, summary["examples_of_problems"]
        moved = [trace for trace in traces(tools) if is_moved(trace)]
        if whole := [trace for trace in moved if not faults(trace)]:
            break

    report.add("runs while an alert fired", summary["acknowledged"], "runs")
    report.add("lost", summary["lost"], "runs", "0")
    report.add("runs that moved to another replica", len(moved), "runs", "> 0")
    report.add("traces of them that are whole", len(whole), "", "> 0")
    assert whole, [faults(trace) for trace in moved]


def play(story: Story, tools: Monitoring, steps: int) -> dict[str, Any]:
    """More runs than there are slots for. A replica is lost while the alert fires."""
    story.kubectl.until("two replicas", lambda: len(ready_pods(story)) == 2, 120)
    playing = story.stage.play(
        f"watched-{steps}",
        *("spike", "--url", f"http://{WATCHED}:8000", "--steps", str(steps), "--step-seconds", "0.5"),
        *("--base-rate", "0.5", "--spike-rate", "3", "--base-seconds", "1", "--spike-seconds", "20"),
        *("--after-seconds", "1", "--deadline", "400"),
    )
    story.kubectl.until("Prometheus fires", lambda: tools.value(FIRING) == 1, 120)
    story.kubectl.until_event(WATCHED, "AlertFiring", "RunsWait")
    story.kubectl("delete", "pod", ready_pods(story)[0], "--grace-period=0", "--force")
    summary = playing.summary(500)
    story.kubectl.until("Prometheus no longer fires", lambda: tools.value(FIRING) is None, 120)
    until_condition(story, WATCHED, "Alerting", "NoneFiring", 120)
    story.kubectl.until_event(WATCHED, "AlertResolved", "RunsWait")
    return summary


def traces(tools: Monitoring) -> list[list[Span]]:
    found: dict[str, list[Span]] = defaultdict(list)
    for span in tools.spans():
        found[span.trace_id].append(span)
    return list(found.values())


def is_moved(trace: list[Span]) -> bool:
    """Whether a replica was lost with the run, and another one ended it."""
    return {of_attempt(each) for each in trace} >= {"lost", "success"}


def faults(trace: list[Span]) -> list[str]:
    """What keeps it from being whole: one beginning, no part that hangs in the air, steps of two replicas."""
    roots = [each.name for each in trace if not each.parent_id]
    by = sorted({each.resource["service.instance.id"] for each in trace if each.name == "think"})
    found = [] if len(roots) == 1 else [f"beginnings: {roots}"]
    found += [f"hangs in the air: {each}" for each in orphans(trace)]
    return found if len(by) == 2 else [*found, f"steps of {by}"]
