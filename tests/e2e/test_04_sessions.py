"""4. Two hundred sessions survive a rolling restart, a SIGKILL and a lost node.

Each session is in the middle of a run of several steps, and each step leaves a record outside of the
graph's state: the records tell whether a step ran twice. Runs have durability `sync`: a step begins when the
checkpoint of the one before is committed. (With `async` it begins while that is being written, so a SIGKILL
in these milliseconds costs that step, too.)
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest

from e2e.harness import nodes
from e2e.harness.kubectl import is_ready
from e2e.harness.records import Account, account
from e2e.harness.report import Report
from e2e.story import RESOURCE, URL, Story

SESSIONS = 200
STEPS = 8
STEP_SECONDS = 3.0
REPLICAS = 4
DRAIN_SECONDS = 20
"""Less than a run takes, so that a replica that goes has to hand its runs over."""


@pytest.fixture(scope="module", autouse=True)
def _room_for_all_sessions(story: Story) -> Iterator[None]:
    """Every session is in a run at once: as many slots as sessions, and some more. Drains are short."""
    before = story.service()["spec"]
    wide = {
        "workers": {"concurrency": 80, "drainSeconds": DRAIN_SECONDS},
        "scaling": {"minReplicas": REPLICAS, "maxReplicas": REPLICAS},
    }
    story.kubectl.merge(RESOURCE, {"spec": wide})
    story.until_replicas(REPLICAS, 300)
    yield
    narrow = {
        "workers": {key: before["workers"][key] for key in ("concurrency", "drainSeconds")},
        "scaling": {key: before["scaling"][key] for key in ("minReplicas", "maxReplicas")},
    }
    story.kubectl.merge(RESOURCE, {"spec": narrow})
    story.until_replicas(before["scaling"]["minReplicas"], 300)


def play_sessions(story: Story, name: str, fault: Callable[[], None]) -> tuple[dict[str, int], Account]:
    """All sessions, with `fault` in the middle of their runs. Returns the player's account and the
    records'.
    """
    story.forget_records()
    play = story.stage.play(
        name,
        *("sessions", "--url", URL, "--count", str(SESSIONS), "--steps", str(STEPS)),
        *("--step-seconds", str(STEP_SECONDS), "--durability", "sync", "--deadline", "500"),
    )
    play.said("started", 120)
    story.kubectl.until(
        "every session in the middle of its run", lambda: len(story.records()) >= 3 * SESSIONS, 60
    )
    fault()
    return play.summary(600), account(story.records(), STEPS)


def tell(report: Report, fault: str, summary: dict[str, int], told: Account, repeated: str) -> None:
    """The numbers of one fault."""
    report.add(f"{fault}: sessions finished", summary["finished"], f"of {SESSIONS}", f"{SESSIONS}")
    report.add(f"{fault}: lost", summary["lost"], "", "0")
    report.add(f"{fault}: runs that went on in another place or attempt", told.moved, "runs")
    report.add(f"{fault}: steps that ran twice", len(told.repeated), f"of {told.steps}", repeated)
    report.add(f"{fault}: of these after their checkpoint", len(told.wrongly_repeated), "", "0")


def assert_none_lost(summary: dict[str, int], told: Account) -> None:
    """All finished with the right state, and no step was done again after its checkpoint was committed."""
    ends = (summary["acknowledged"], summary["finished"], summary["wrong"])
    assert ends == (SESSIONS, SESSIONS, 0), json.dumps(summary)
    assert told.runs == SESSIONS
    assert told.incomplete == ()
    assert told.wrongly_repeated == ()
    # One fault, one step in flight: no run may have two steps that ran twice.
    assert len({step.split()[0] for step in told.repeated}) == len(told.repeated)


def test_a_rolling_restart_repeats_no_step(story: Story, report: Report) -> None:
    def new_template() -> None:
        stamp = {"annotations": {"example.org/restarted-at": str(time.time())}}
        story.kubectl.merge(RESOURCE, {"spec": {"pod": stamp}})

    old = {pod["metadata"]["name"] for pod in story.pods()}
    summary, told = play_sessions(story, "restart", new_template)
    story.until_replicas(REPLICAS, 300)
    assert old.isdisjoint(pod["metadata"]["name"] for pod in story.pods())

    tell(report, "rolling restart", summary, told, "0")
    assert_none_lost(summary, told)
    assert told.repeated == ()
    assert told.moved > 0, "no run was handed over: the drain was longer than the runs"


def test_a_killed_replica_costs_at_most_the_step_in_flight(story: Story, report: Report) -> None:
    if not nodes.are_ours():
        pytest.skip("SIGKILL from outside of a container takes the nodes of a kind cluster")
    victim = next(pod for pod in story.pods() if is_ready(pod))

    summary, told = play_sessions(story, "sigkill", lambda: nodes.kill_container(victim, "runtime"))
    story.until_replicas(REPLICAS, 300)

    tell(report, "SIGKILL", summary, told, "the steps in flight")
    assert_none_lost(summary, told)
    assert told.moved > 0, "the killed replica had no run in its hands"


def test_a_lost_node_costs_at_most_the_steps_in_flight(story: Story, report: Report) -> None:
    if not nodes.are_ours() or story.lose is None:
        pytest.skip("taking a node away needs a kind cluster with two workers")
    there = [pod["metadata"]["name"] for pod in story.pods() if pod["spec"]["nodeName"] == story.lose]
    assert there, f"no replica runs on {story.lose}"

    try:
        summary, told = play_sessions(story, "node", lambda: nodes.power_off(str(story.lose)))
    finally:
        nodes.power_on(story.lose)
    story.kubectl("wait", "--for=condition=Ready", f"node/{story.lose}", "--timeout=180s", timeout=200)
    story.until_replicas(REPLICAS, 300)

    tell(report, "lost node", summary, told, "the steps in flight")
    assert_none_lost(summary, told)
    assert told.moved > 0, f"no run was on {story.lose}"
