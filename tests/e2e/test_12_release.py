"""12. Releases: one that raises, one that adds a graph, canaries.

A release that raises on every run is taken back by itself, while runs come, after few of them have failed,
whether it is rolled out or a canary; the service says which revision failed and by how much. One that adds a
graph and a canary that removes it go through. No acknowledged run is lost in any of them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from e2e.desk import desk, until_condition
from e2e.harness.kubectl import is_ready
from e2e.harness.player import Play
from e2e.harness.report import Report
from e2e.story import Story

ORDERS = "orders"
SERVICE = f"langgraphservice/{ORDERS}"
CODE = f"{ORDERS}-graph"
PODS = f"lgs.dev/service={ORDERS},app.kubernetes.io/component=runtime"
SECOND = "second"
"""The graph that is added, and removed."""
REPLICAS = 3
ALLOWED = 0.3
ROLLOUT = {"autoRollback": True, "maxErrorRate": ALLOWED, "minRuns": 10}
RAISES = '''

async def raises(state: State) -> State:
    """What the release brings."""
    raise RuntimeError("no order can be read")


broken = StateGraph(State)
broken.add_node("raises", raises)
broken.add_edge(START, "raises")
graph = broken.compile()
'''


def release(story: Story, addition: str) -> None:
    """The example's graph with this at its end."""
    graph = (story.root / "examples" / "support" / "graph.py").read_text("utf-8")
    head = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": CODE}}
    story.kubectl.apply(head | {"data": {"graph.py": graph + addition}})


def all_run(story: Story, revision: int) -> bool:
    """Every replica is of this revision, and takes work."""
    pods = story.kubectl.pods(PODS)
    numbers = [pod["metadata"]["labels"]["lgs.dev/revision"] for pod in pods if is_ready(pod)]
    return len(pods) == REPLICAS and numbers == [str(revision)] * REPLICAS


def told(story: Story, revision: int) -> dict[str, Any]:
    """What the status says of a revision."""
    found = story.kubectl.get(SERVICE)["status"]["revisions"]
    return next(each for each in found if each["revision"] == revision)


def canaries(story: Story) -> list[dict[str, Any]]:
    """The replicas of a canary."""
    return story.kubectl.pods(f"{PODS},lgs.dev/track=canary")


@contextmanager
def playing(story: Story, name: str, *more: str) -> Iterator[Play]:
    """Four runs a second, from before what is done until that is over."""
    play = story.stage.play(
        f"orders-{name}",
        *("spike", "--url", f"http://{ORDERS}:8000", "--steps", "2", "--step-seconds", "0.25", *more),
        *("--base-rate", "2" if more else "4", "--base-seconds", "600", "--deadline", "700"),
        *("--spike-rate", "1", "--spike-seconds", "0", "--after-seconds", "0"),
    )
    play.said("base", 180)
    yield play
    play.stop()


def none_is_lost(report: Report, what: str, summary: dict[str, Any]) -> None:
    """All runs that were acknowledged ended as they should."""
    report.add(f"{what}: runs", summary["acknowledged"], "runs")
    report.add(f"{what}: lost or failed", summary["lost"] + summary["wrong"], "runs", "0")
    assert summary["lost"] == summary["wrong"] == 0, summary["examples_of_problems"]
    assert summary["acknowledged"] == summary["sent"] > 0, summary


def test_a_service_serves_its_first_release(story: Story) -> None:
    release(story, "")
    manifest = desk(story, ORDERS)
    manifest["spec"] |= {"source": {"configMap": CODE}, "replicas": REPLICAS, "rollout": ROLLOUT}
    story.kubectl.apply(manifest)

    story.kubectl.until("replicas of revision 1", lambda: all_run(story, 1), 240)
    until_condition(story, ORDERS, "Ready", "Serving", 180)


def test_a_release_that_raises_is_taken_back_by_itself_after_few_failed_runs(
    story: Story, report: Report
) -> None:
    play = story.stage.play(
        "orders-release",
        *("spike", "--url", f"http://{ORDERS}:8000", "--steps", "2", "--step-seconds", "0.25"),
        *("--base-rate", "4", "--spike-rate", "4", "--base-seconds", "15", "--spike-seconds", "90"),
        *("--after-seconds", "15", "--deadline", "400"),
    )
    play.said("spike", 180)
    until_condition(story, ORDERS, "Healthy", "Verified", 180)
    released = time.time()
    release(story, RAISES)

    back = until_condition(story, ORDERS, "Healthy", "RolledBack", 180)
    noticed = time.time()
    story.kubectl.until_event(ORDERS, "RolledBack", "Healthy is", "revision 2 was taken back", "runs failed")
    story.kubectl.until("replicas of revision 1 alone", lambda: all_run(story, 1), 180)
    whole = time.time()
    summary = play.summary(500)

    failed = told(story, 2)
    report.add("release to noticed", noticed - released, "s")
    report.add("noticed to replicas of the revision before alone", whole - noticed, "s")
    report.add("runs meanwhile", summary["acknowledged"], "runs")
    report.add("lost", summary["lost"], "runs", "0")
    report.add("failed", summary["wrong"], "runs", f"<= {ALLOWED:.0%}")
    report.add("the revision's runs when it was taken back", failed["runs"], "runs")
    assert summary["lost"] == 0, summary["examples_of_problems"]
    assert all("no order can be read" in str(each) for each in summary["examples_of_problems"])
    assert 0 < summary["wrong"] <= ALLOWED * summary["acknowledged"]
    assert (failed["state"], failed["failedRuns"]) == ("Failed", failed["runs"])
    assert f"{failed['failedRuns']} of its {failed['runs']} runs failed" in back["message"]


def test_the_next_release_adds_a_graph_under_load_without_a_lost_run(story: Story, report: Report) -> None:
    """While old replicas, which don't have it, take runs as well."""
    # the code of revision 1: replicas run that
    release(story, "")
    with playing(story, "known") as known, playing(story, "new", *("--assistant", SECOND, "--new")) as new:
        story.kubectl.merge(SERVICE, {"spec": {"graphs": {SECOND: "./graph.py:graph"}}})
        story.kubectl.until("replicas of revision 3", lambda: all_run(story, 3), 240)
    until_condition(story, ORDERS, "Reconciled", "Done", 180)

    for graph, play in (("the known graph", known), ("the new one", new)):
        none_is_lost(report, f"a graph added: {graph}", play.summary(120))
    assert told(story, 3)["state"] == "Ready"


def test_a_canary_that_does_well_goes_through_and_removes_a_graph_without_a_lost_run(
    story: Story, report: Report
) -> None:
    canary = {"strategy": "Canary", "steps": [25], "pauseSeconds": 600}
    long = ("sessions", "--url", f"http://{ORDERS}:8000", "--assistant", SECOND, "--count", "20")
    running = story.stage.play("orders-removed", *long, *("--steps", "10", "--step-seconds", "3"))
    running.said("started", 180)
    with playing(story, "good") as play:
        changed = time.time()
        spec = {"rollout": canary, "graphs": {SECOND: None}, "workers": {"concurrency": 12}}
        story.kubectl.merge(SERVICE, {"spec": spec})
        story.kubectl.until("a canary's replica", lambda: canaries(story), 120)
        story.kubectl.merge(SERVICE, {"spec": {"rollout": {"pauseSeconds": 5}}})
        story.kubectl.until("replicas of revision 4", lambda: all_run(story, 4), 300)
        report.add("canary: change to all replicas", time.time() - changed, "s")
    until_condition(story, ORDERS, "Reconciled", "Done", 180)

    none_is_lost(report, "a canary that does well", play.summary(120))
    none_is_lost(report, "long runs of the graph that it removes", running.summary(300))
    assert told(story, 4)["state"] == "Ready"


def test_a_canary_that_raises_is_taken_back_by_itself_and_no_other_replica_is_touched(
    story: Story, report: Report
) -> None:
    before = {pod["metadata"]["uid"] for pod in story.kubectl.pods(PODS)}
    with playing(story, "bad") as play:
        released = time.time()
        release(story, RAISES)
        back = until_condition(story, ORDERS, "Healthy", "RolledBack", 180)
        report.add("canary: change to taken back", time.time() - released, "s")
        story.kubectl.until("its replicas gone", lambda: not canaries(story), 120)
    summary, failed = play.summary(120), told(story, 5)

    report.add("canary that raises: runs meanwhile", summary["acknowledged"], "runs")
    report.add("canary that raises: lost", summary["lost"], "runs", "0")
    report.add("canary that raises: failed", summary["wrong"], "runs", f"<= {ALLOWED:.0%}")
    assert summary["lost"] == 0, summary["examples_of_problems"]
    assert all("no order can be read" in str(each) for each in summary["examples_of_problems"])
    assert 0 < summary["wrong"] <= ALLOWED * summary["acknowledged"]
    assert (failed["state"], failed["failedRuns"]) == ("Failed", failed["runs"])
    assert f"{failed['failedRuns']} of its {failed['runs']} runs failed" in back["message"]
    assert {pod["metadata"]["uid"] for pod in story.kubectl.pods(PODS)} == before
    story.kubectl("delete", SERVICE, "--wait=true")
