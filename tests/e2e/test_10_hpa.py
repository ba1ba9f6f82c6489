"""10. Kubernetes' own HPA sets the number.

In mode External the service follows what is written to its scale. The HPA reads an external metric, as one
that KEDA makes does, from Prometheus and its adapter, all with the manifests that docs/scaling.md shows: it
adds replicas in a spike and takes them away again, and no run is lost either way.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from e2e.harness.kubectl import condition
from e2e.harness.monitoring import Monitoring, monitoring
from e2e.harness.report import Report
from e2e.harness.watch import Replicas, replicas_of
from e2e.story import NAME, RESOURCE, URL, Story
from support.documents import shown

HPA = f"horizontalpodautoscaler/{NAME}"
PAGE = "scaling.md"
SCRAPE_SECONDS = "1s"
STABILISATION_SECONDS = 15
"""Not the minute of the page: the story has to go on."""
AFTER_SECONDS = (75, 130, 240)
"""The load after the spike has to go on while replicas are taken away: where it did not, because the machine
was so slow, it is played again with more of it."""


@pytest.fixture(scope="module")
def prometheus(story: Story) -> Iterator[Monitoring]:
    """Prometheus and its adapter, as the page has them."""
    scrapes = shown(PAGE, "scrape_configs")
    for each in scrapes["scrape_configs"]:
        each["scrape_interval"] = SCRAPE_SECONDS
    image = story.image("lgs-testing-metrics")
    with monitoring(image, story.keep, scrapes, shown(PAGE, "externalRules")) as running:
        yield running


@pytest.fixture
def hpa(story: Story, prometheus: Monitoring) -> Iterator[dict[str, Any]]:
    """The service in mode External, with the page's HPA. Afterwards it is as it was."""
    minimum = story.service()["spec"]["scaling"]["minReplicas"]
    story.until_replicas(minimum, 180)
    manifest = shown(PAGE, "kind", "HorizontalPodAutoscaler")
    manifest["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] = STABILISATION_SECONDS
    story.kubectl.merge(RESOURCE, {"spec": {"scaling": {"mode": "External"}, "replicas": minimum}})
    story.kubectl.apply(manifest)
    yield manifest
    story.kubectl("delete", HPA, "--ignore-not-found")
    story.kubectl.merge(RESOURCE, {"spec": {"scaling": {"mode": "Auto"}}})


def has_numbers(story: Story) -> bool:
    """Whether the HPA can read the metric and write the scale."""
    found = story.kubectl.get(HPA)
    return {condition(found, kind).get("status") for kind in ("ScalingActive", "AbleToScale")} == {"True"}


def play(story: Story, after_seconds: int) -> tuple[dict[str, Any], float]:
    """A spike's account, and when its last run was sent."""
    playing = story.stage.play(
        f"spike-for-an-hpa-{after_seconds}",
        *("spike", "--url", URL, "--steps", "3", "--step-seconds", "2", "--base-rate", "0.5"),
        *("--spike-rate", "5", "--base-seconds", "1", "--spike-seconds", "30"),
        *("--after-seconds", str(after_seconds), "--deadline", "600"),
    )
    summary = playing.summary(700)
    (sent,) = (line["at"] for line in playing.lines() if line.get("event") == "sent")
    return summary, float(sent)


def fewer_at(replicas: Replicas) -> float | None:
    """When a replica was first taken away."""
    seen = replicas.seen
    return next((now.at for was, now in pairwise(seen) if now.wanted < was.wanted), None)


def test_an_hpa_adds_replicas_in_a_spike_and_takes_them_away_without_a_lost_run(
    story: Story, hpa: dict[str, Any], report: Report
) -> None:
    fewest, most = hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"]
    story.kubectl.until("the HPA reads its metric", lambda: has_numbers(story), 120)

    for after_seconds in AFTER_SECONDS:
        with replicas_of(story.kubectl, NAME) as replicas:
            summary, last_sent = play(story, after_seconds)
            story.until_replicas(fewest, 300)
        assert summary["lost"] == summary["wrong"] == 0, summary["examples_of_problems"]
        down = fewer_at(replicas)
        assert down is not None
        if down < last_sent:
            break
    else:
        pytest.fail("no run was sent any more when replicas were taken away")

    report.add("runs of an HPA's spike", summary["acknowledged"], "runs")
    report.add("lost", summary["lost"], "runs", "0")
    report.add("last run sent, after the first replica was taken away", last_sent - down, "s", "> 0")
    report.add("most replicas", replicas.most_wanted(), "", f"{fewest + 1} to {most}")
    assert fewest < replicas.most_wanted() <= most
    story.kubectl.until(
        "the service tells its replicas", lambda: story.service()["status"]["replicas"] == fewest, 60
    )
    assert condition(story.service(), "ScalingActive")["reason"] == "External"


def test_the_query_that_keda_is_given_has_the_number_that_the_hpa_sees(
    story: Story, prometheus: Monitoring
) -> None:
    (trigger,) = shown(PAGE, "kind", "ScaledObject")["spec"]["triggers"]
    query = trigger["metadata"]["query"].replace(
        'namespace="default"', f'namespace="{story.kubectl.namespace}"'
    )
    metric = f"/apis/external.metrics.k8s.io/v1beta1/namespaces/{story.kubectl.namespace}/lgs_runs_in_service"

    def both() -> bool:
        answer = story.kubectl("get", "--raw", f"{metric}?labelSelector=lgs_dev_service%3D{NAME}")
        (item,) = json.loads(answer)["items"]
        return prometheus.value(query) == 0.0 and item["value"] == "0"

    # Nothing is played any more.
    story.kubectl.until("both are zero", both, 180)
