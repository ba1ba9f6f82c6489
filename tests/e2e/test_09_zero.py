"""9. To zero and back.

The live service is split: some replicas answer requests, others execute runs. While there is no work none
executes; a run is acknowledged at once all the same, ends right, and leaves none behind. Then the service is
put together again.
"""

from __future__ import annotations

import time
from typing import Any

import httpx
from langgraph_sdk import get_client

from e2e.harness.kubectl import answers, is_ready
from e2e.harness.report import Report
from e2e.harness.watch import replicas_of
from e2e.story import NAME, RESOURCE, URL, Story

API = f"{NAME}-api"
API_PODS = f"lgs.dev/service={NAME},app.kubernetes.io/component=api"
IDLE_SECONDS = 15
QUESTION: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Are you still there?"}],
    "steps": 3,
    "step_seconds": 0.3,
}


def changed_under_load(story: Story, name: str, change: dict[str, Any]) -> dict[str, Any]:
    """The account of runs that came before, while and after the service was changed."""
    play = story.stage.play(
        name,
        *("spike", "--url", URL, "--steps", "2", "--step-seconds", "0.5", "--base-rate", "2"),
        *("--spike-rate", "2", "--base-seconds", "5", "--spike-seconds", "45", "--after-seconds", "5"),
        *("--deadline", "400"),
    )
    play.said("spike", 180)
    story.kubectl.merge(RESOURCE, {"spec": change})
    return play.summary(500)


def test_a_live_service_is_split_without_a_lost_run(story: Story, report: Report) -> None:
    split = {
        "topology": "Split",
        "api": {"replicas": 1},
        "scaling": {"minReplicas": 0, "scaleDown": {"idleSeconds": IDLE_SECONDS}},
    }

    summary = changed_under_load(story, "split", split)

    report.add("runs while the service was split", summary["acknowledged"], "runs")
    report.add("lost", summary["lost"], "runs", "0")
    assert summary["lost"] == summary["wrong"] == 0, summary["examples_of_problems"]
    assert story.kubectl.get(f"service/{NAME}")["spec"]["selector"]["app.kubernetes.io/component"] == "api"


def test_none_executes_while_nothing_comes(story: Story) -> None:
    story.until_replicas(0, 300)
    story.kubectl.until("no replica that executes", lambda: not story.pods(), 120)

    story.until_ready(60)
    assert len(story.kubectl.pods(API_PODS)) == 1


async def test_a_run_is_acknowledged_at_once_and_ends_right(story: Story, report: Report) -> None:
    with (
        story.kubectl.forwarded(f"service/{NAME}", 8000) as url,
        replicas_of(story.kubectl, NAME) as replicas,
    ):
        story.kubectl.until("an answer through the port-forward", lambda: answers(f"{url}/ok"), 180)
        client = get_client(url=url, timeout=httpx.Timeout(300))
        thread = await client.threads.create()
        began = time.time()
        run = await client.runs.create(thread["thread_id"], "agent", input=QUESTION)
        acknowledged = time.time()
        values: Any = await client.runs.join(thread["thread_id"], run["run_id"])
        ended = time.time()
        # It takes runs as soon as it can, and the kubelet asks only now and then.
        story.kubectl.until("the replica is Ready", lambda: any(map(is_ready, story.pods())), 180)
        started_in = story.start_up_seconds()

    decided, ready = replicas.first_above(0, began), replicas.first_ready(1, began)
    assert decided is not None
    report.add("a run without a replica that executes: acknowledged after", acknowledged - began, "s")
    report.add("until a replica is asked for", decided - began, "s", "<= 2")
    report.add("until it is ready", (ready or ended) - began, "s", "<= start + 2")
    report.add("longest start of a replica", started_in, "s")
    report.add("until the run has ended", ended - began, "s")
    assert values["done"] == [0, 1, 2]


def test_when_its_work_is_done_no_replica_that_executes_is_left(story: Story) -> None:
    story.until_replicas(0, 300)
    story.kubectl.until("no replica that executes", lambda: not story.pods(), 120)


def test_it_is_put_together_again_without_a_lost_run(story: Story, report: Report) -> None:
    summary = changed_under_load(story, "together", {"topology": "Combined", "scaling": {"minReplicas": 1}})

    report.add("runs while the service was put together", summary["acknowledged"], "runs")
    report.add("lost", summary["lost"], "runs", "0")
    assert summary["lost"] == summary["wrong"] == 0, summary["examples_of_problems"]
    story.kubectl.until("no replica that only answers", lambda: not story.kubectl.pods(API_PODS), 180)
    assert not story.kubectl.exists(f"deployment/{API}")
    story.until_ready(60)
