"""3. A spike of ten times the load.

The law sees it within seconds, new replicas follow as fast as pods start, no more of them than the load
needs, urgent runs go first, and when it is over the service shrinks again without cutting a run.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from e2e.harness.report import Report
from e2e.harness.watch import replicas_of
from e2e.story import NAME, RESOURCE, URL, Story

BASE_RATE = 0.5
SPIKE_RATE = 5.0
STEPS = 3
STEP_SECONDS = 2.0
SPIKE_SECONDS = 60
DECISION_SECONDS = 5.0
READY_SECONDS = 5.0
PLAYS = 3
"""A machine that stands still for seconds answers nothing in them: the spike is played again."""


def replicas_for(story: Story, in_use: float) -> int:
    """How many replicas have so many slots in use, of those that are planned to be used."""
    spec = story.service()["spec"]
    return math.ceil(in_use / (spec["workers"]["concurrency"] * spec["scaling"]["target"]["utilization"]))


def needed_replicas(story: Story) -> int:
    """Little's law: arrivals times the time of a run are the slots in use."""
    return replicas_for(story, SPIKE_RATE * STEPS * STEP_SECONDS)


def most_replicas(story: Story, needed: int) -> int:
    """What the manifest's overshoot allows. Where the machine is busy runs take longer than their steps, and
    the operator, whose Events have what it measured, is right to see more of a load.
    """
    selector = f"reason=ScaledOut,involvedObject.name={NAME}"
    told = story.kubectl("get", "events", "--field-selector", selector, "-o", "jsonpath={.items[*].message}")
    in_use = [int(slots) for slots in re.findall(r"keep (\d+) slots in use", told)]
    measured = replicas_for(story, max(in_use, default=0))
    return math.ceil(story.service()["spec"]["scaling"]["overshoot"] * max(needed, measured))


@dataclass(frozen=True)
class Answer:
    """How a spike was answered. Times are seconds from its beginning, but for `start`."""

    decided: float
    enough: float
    ready: float
    start: float
    """What the slowest new replica took to start."""
    most: int
    allowed: int
    summary: dict[str, Any]

    @property
    def is_prompt(self) -> bool:
        """Within the seconds that the story promises."""
        return self.decided <= DECISION_SECONDS and self.ready - self.enough <= self.start + READY_SECONDS


def answered(story: Story, needed: int) -> Answer:
    """A spike from the minimum of replicas, and back."""
    spec = story.service()["spec"]["scaling"]
    minimum, hold = spec["minReplicas"], spec["scaleDown"]["holdSeconds"]
    story.until_replicas(minimum, 120)

    with replicas_of(story.kubectl, NAME) as replicas:
        play = story.stage.play(
            "spike",
            *("spike", "--url", URL, "--steps", str(STEPS), "--step-seconds", str(STEP_SECONDS)),
            *("--base-rate", str(BASE_RATE), "--spike-rate", str(SPIKE_RATE), "--base-seconds", "20"),
            *("--spike-seconds", str(SPIKE_SECONDS), "--after-seconds", "30", "--deadline", "300"),
        )
        began = float(play.said("spike", 180)["at"])
        story.kubectl.until(
            f"{needed} replicas ready", lambda: replicas.first_ready(needed, began), SPIKE_SECONDS
        )
        started_in = story.start_up_seconds()
        summary = play.summary(400)
        allowed = most_replicas(story, needed)
        story.until_replicas(minimum, 120 + 10 * hold)

    decided, enough, ready = (
        replicas.first_above(minimum, began),
        replicas.first_above(needed - 1, began),
        replicas.first_ready(needed, began),
    )
    assert decided is not None
    assert enough is not None
    assert ready is not None
    most = replicas.most_wanted()
    return Answer(decided - began, enough - began, ready - began, started_in, most, allowed, summary)


def test_a_spike_is_answered_in_seconds_and_without_excess(story: Story, report: Report) -> None:
    needed = needed_replicas(story)

    for _ in range(PLAYS):
        answer = answered(story, needed)
        assert answer.summary["lost"] == answer.summary["wrong"] == 0, answer.summary["examples_of_problems"]
        if answer.is_prompt:
            break

    report.add("runs of the spike", answer.summary["acknowledged"], "runs")
    report.add("lost", answer.summary["lost"], "runs", "0")
    report.add("spike to first decision to scale out", answer.decided, "s", f"<= {DECISION_SECONDS:g}")
    report.add("longest start of a replica", answer.start, "s")
    report.add(f"spike to the decision for {needed} replicas", answer.enough, "s")
    report.add(
        f"that decision to {needed} ready replicas",
        answer.ready - answer.enough,
        "s",
        f"<= start + {READY_SECONDS:g}",
    )
    report.add("most replicas", answer.most, "", f"<= {answer.allowed}")
    for priority, numbers in answer.summary["by_priority"].items():
        report.add(f"latency of {priority} runs, p95", numbers["p95"], "s")
    assert answer.is_prompt, answer
    assert answer.most <= answer.allowed


@pytest.fixture
def no_room(story: Story) -> Iterator[None]:
    """The service has one replica, and gets no more."""
    before = story.service()["spec"]["scaling"]["maxReplicas"]
    story.kubectl.merge(RESOURCE, {"spec": {"scaling": {"maxReplicas": 1}}})
    story.until_replicas(1, 300)
    yield
    story.kubectl.merge(RESOURCE, {"spec": {"scaling": {"maxReplicas": before}}})


@pytest.mark.usefixtures("no_room")
def test_urgent_runs_go_first_where_all_wait(story: Story, report: Report) -> None:
    play = story.stage.play(
        "crowd",
        *("spike", "--url", URL, "--steps", "1", "--step-seconds", str(STEP_SECONDS), "--base-rate", "1"),
        *("--spike-rate", "40", "--base-seconds", "1", "--spike-seconds", "2", "--after-seconds", "1"),
    )
    summary = play.summary(400)

    waited = summary["by_priority"]
    for priority, numbers in waited.items():
        report.add(f"latency of {priority} runs that all had to wait, p95", numbers["p95"], "s")
    assert summary["lost"] == summary["wrong"] == 0, summary["examples_of_problems"]
    assert waited["high"]["p95"] < waited["low"]["p95"]
