"""12. A release that raises on every run.

It is stopped and taken back by itself, while runs come, after few of them have failed: none is lost, the
service says which revision failed and by how much, and the next release goes through.
"""

from __future__ import annotations

import time
from typing import Any

from e2e.desk import desk, until_condition
from e2e.harness.kubectl import is_ready
from e2e.harness.report import Report
from e2e.story import Story

ORDERS = "orders"
SERVICE = f"langgraphservice/{ORDERS}"
CODE = f"{ORDERS}-graph"
PODS = f"lgs.dev/service={ORDERS},app.kubernetes.io/component=runtime"
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


def test_a_service_serves_its_first_release(story: Story) -> None:
    release(story, "")
    manifest = desk(story, ORDERS)
    manifest["spec"] |= {"source": {"configMap": CODE}, "replicas": REPLICAS, "rollout": ROLLOUT}
    story.kubectl.apply(manifest)

    story.kubectl.until("replicas of revision 1", lambda: all_run(story, 1), 240)
    until_condition(story, ORDERS, "Ready", "Serving", 60)


def test_a_release_that_raises_is_taken_back_by_itself_after_few_failed_runs(
    story: Story, report: Report
) -> None:
    play = story.stage.play(
        "orders-release",
        *("spike", "--url", f"http://{ORDERS}:8000", "--steps", "2", "--step-seconds", "0.25"),
        *("--base-rate", "4", "--spike-rate", "4", "--base-seconds", "15", "--spike-seconds", "90"),
        *("--after-seconds", "15", "--deadline", "400"),
    )
    play.said("spike", 90)
    until_condition(story, ORDERS, "Healthy", "Verified", 60)
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


def test_the_next_release_goes_through(story: Story) -> None:
    release(story, "\n# Mended.\n")

    story.kubectl.until("replicas of revision 3", lambda: all_run(story, 3), 240)
    until_condition(story, ORDERS, "Reconciled", "Done", 60)
    assert told(story, 3)["state"] == "Ready"
    story.kubectl("delete", SERVICE, "--wait=true")
