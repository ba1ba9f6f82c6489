"""11. A standby takes over.

A service refers to a Cluster of CloudNativePG, with the manifests of docs/data.md and CloudNativePG's own
operator. Its primary is lost while nobody notices, and is handed over on purpose, both in the middle of runs:
no acknowledged run is lost, no step runs again after its checkpoint, and the service says what it waits for.
Then the Cluster hibernates, and wakes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from langgraph_sdk import get_sync_client

from e2e.desk import desk, question, until_condition
from e2e.harness import nodes
from e2e.harness.cloud_native_pg import Cluster, cloud_native_pg, with_its_operator, without_its_operator
from e2e.harness.player import Play
from e2e.harness.records import account, in_flight
from e2e.harness.report import Report
from e2e.story import POSTGRES_UID, RECORDS_URI, Story
from support.documents import shown

NAME = "ward"
PAGE = "data.md"
THREAD = "6f1c2d7e-3a54-4c0b-9d7b-0e6a5f1b2c3d"
STEPS = 4


@pytest.fixture(scope="module")
def cluster(story: Story) -> Iterator[Cluster]:
    """The page's Cluster, to be made. Afterwards it is gone, and its service and CloudNativePG with it."""
    if not nodes.are_ours():
        pytest.skip("CloudNativePG is installed for the whole of a cluster: one of our own")
    with cloud_native_pg(story.image("lgs-testing-cloudnativepg")):
        cluster = Cluster(story.kubectl, shown(PAGE, "kind", "Cluster"))
        yield cluster
        story.kubectl("delete", "langgraphservice", NAME, "--ignore-not-found", "--wait=true")
        cluster.delete()


def by_reference(story: Story) -> dict[str, Any]:
    """The page's service: where its sessions are kept is all that it says."""
    manifest = desk(story, NAME)
    manifest["spec"] |= shown(PAGE, "kind", "LangGraphService")["spec"]
    manifest["spec"] |= {"replicas": 2, "pod": {"env": [{"name": "STEP_RECORDS", "value": RECORDS_URI}]}}
    return manifest


def asked(story: Story, text: str) -> list[str]:
    """What a person has said in their session so far, with one more question."""
    with story.kubectl.forwarded(f"service/{NAME}", 8000) as url:
        client = get_sync_client(url=url)
        client.threads.create(thread_id=THREAD, if_exists="do_nothing")
        short = question(text) | {"steps": 1, "step_seconds": 0.01}
        state: Any = client.runs.wait(THREAD, "agent", input=short)
    return [each["content"] for each in state["messages"] if each["type"] == "human"]


def until_whole(story: Story, cluster: Cluster) -> None:
    """All instances of the Cluster and both replicas of the service are ready."""
    cluster.until_healthy()
    story.kubectl("rollout", "status", f"deployment/{NAME}", "--timeout=180s", timeout=200)


def restarts(story: Story) -> int:
    """How often the containers of the replicas have begun again."""
    pods = story.kubectl.pods(f"lgs.dev/service={NAME},app.kubernetes.io/component=runtime")
    assert pods
    return sum(each["restartCount"] for pod in pods for each in pod["status"]["containerStatuses"])


def begin_runs(story: Story, name: str) -> Play:
    """Runs that come for a quarter of a minute and more; returns in the middle of some of their steps."""
    story.forget_records()
    play = story.stage.play(
        name,
        *("spike", "--url", f"http://{NAME}:8000", "--steps", str(STEPS), "--step-seconds", "1"),
        *("--base-rate", "2", "--spike-rate", "2", "--base-seconds", "1", "--spike-seconds", "15"),
        *("--after-seconds", "1", "--durability", "sync", "--deadline", "400"),
    )
    story.kubectl.until("steps in flight", lambda: in_flight(story.records()), 120)
    return play


def assert_none_lost(story: Story, play: Play, report: Report, fault: str) -> None:
    """All acknowledged runs end with the right state, none does a step again that was stored."""
    summary, records = play.summary(500), story.records()
    told = account(records, STEPS)
    times = sorted(record["at"] for record in records)
    report.add(f"{fault}: runs acknowledged", summary["acknowledged"], "runs")
    report.add(f"{fault}: lost", summary["lost"], "runs", "0")
    report.add(f"{fault}: longest time without a step", max(b - a for a, b in pairwise(times)), "s")
    report.add(f"{fault}: steps that ran twice", len(told.repeated), f"of {told.steps}")
    report.add(f"{fault}: of these after their checkpoint", len(told.wrongly_repeated), "", "0")
    report.add(f"{fault}: most attempts of a run", max(record["attempt"] for record in records))
    assert summary["lost"] == summary["wrong"] == 0, summary["examples_of_problems"]
    assert summary["acknowledged"] == summary["sent"]
    assert told.wrongly_repeated == ()


def test_a_service_waits_for_its_cluster_in_the_clusters_words(
    story: Story, cluster: Cluster, report: Report
) -> None:
    story.kubectl.apply(by_reference(story))
    until_condition(story, NAME, "Ready", "ClusterNotFound", 180)
    began = time.monotonic()

    cluster.create(story.image("lgs-testing-postgres"), POSTGRES_UID)

    said = until_condition(story, NAME, "Ready", "ClusterNotReady", 180)
    assert "of 3 instances are ready" in said["message"]
    until_condition(story, NAME, "Ready", "Serving", 300)
    report.add("a Cluster of three instances, until its service is Ready", time.monotonic() - began, "s")
    until_condition(story, NAME, "PersistenceReady", "Connected", 180)
    assert restarts(story) == 0, "a replica began before its database could serve it"
    until_whole(story, cluster)
    assert asked(story, "one") == ["one"]


def test_no_run_is_lost_with_a_primary_that_nobody_misses_for_a_while(
    story: Story, cluster: Cluster, report: Report
) -> None:
    lost = cluster.primary
    without_its_operator()
    play = begin_runs(story, "primary-lost")
    began = time.monotonic()

    cluster.lose(lost)

    for kind in ("Ready", "PersistenceReady"):
        until_condition(story, NAME, kind, "DatabaseUnreachable", 120)
    report.add("lost primary, until the service says so", time.monotonic() - began, "s")
    began = time.monotonic()
    with_its_operator()
    cluster.until_another_than(lost)
    until_condition(story, NAME, "Ready", "Serving", 180)
    report.add("CloudNativePG is back, until the service is Ready", time.monotonic() - began, "s")
    assert_none_lost(story, play, report, "lost primary")
    until_whole(story, cluster)
    assert asked(story, "two") == ["one", "two"]


def test_no_run_is_lost_when_the_primary_is_handed_over(
    story: Story, cluster: Cluster, report: Report
) -> None:
    before = cluster.primary
    play = begin_runs(story, "handed-over")

    cluster.switch_over()

    cluster.until_another_than(before)
    assert_none_lost(story, play, report, "switchover")
    until_whole(story, cluster)
    until_condition(story, NAME, "Ready", "Serving", 180)
    assert asked(story, "three") == ["one", "two", "three"]


def test_a_cluster_that_hibernates_is_said_to_and_its_sessions_go_on_when_it_wakes(
    story: Story, cluster: Cluster, report: Report
) -> None:
    began = time.monotonic()

    cluster.hibernate("on")

    said = until_condition(story, NAME, "Ready", "ClusterHibernated", 180)
    report.add("hibernation, until the service says so", time.monotonic() - began, "s")
    assert "cnpg.io/hibernation" in said["message"]
    began = time.monotonic()
    cluster.hibernate("off")
    until_condition(story, NAME, "Ready", "Serving", 300)
    report.add("the Cluster is to wake, until the service is Ready", time.monotonic() - began, "s")
    assert asked(story, "four") == ["one", "two", "three", "four"]
