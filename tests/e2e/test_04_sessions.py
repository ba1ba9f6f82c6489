"""4. Two hundred sessions survive a rolling restart, a SIGKILL and a lost node.

Each session is in the middle of a run of several steps, and each step leaves a record outside of the
graph's state: the records show whether a step ran twice. Runs have durability `sync`: a step begins when the
checkpoint of the one before is committed. (With `async` it begins while that is being written, so a SIGKILL
in these milliseconds costs that step, too.)
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from e2e.harness import nodes
from e2e.harness.kubectl import is_ready, run
from e2e.harness.records import Account, account, in_flight
from e2e.harness.report import Report
from e2e.story import RESOURCE, URL, Story

SESSIONS = 200
STEPS = 8
STEP_SECONDS = 3.0
REPLICAS = 4
LONGER = (1, 2, 4)
"""How many times as long the runs of a play are than those of the first."""
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


def play_sessions(
    story: Story, name: str, fault: Callable[[], None], steps: int = STEPS
) -> tuple[dict[str, int], Account]:
    """All sessions, with `fault` in the middle of their runs. Returns the player's account and the
    records'.
    """
    story.forget_records()
    play = story.stage.play(
        name,
        *("sessions", "--url", URL, "--count", str(SESSIONS), "--steps", str(steps)),
        *("--step-seconds", str(STEP_SECONDS), "--durability", "sync", "--deadline", "600"),
    )
    play.said("started", 240)
    story.kubectl.until(
        "every session in the middle of its run", lambda: len(story.records()) >= 3 * SESSIONS, 240
    )
    fault()
    return play.summary(700), account(story.records(), steps)


def play_until_met(
    story: Story, name: str, fault: Callable[[], None], mended: Callable[[], None]
) -> tuple[dict[str, int], Account]:
    """Plays sessions until the fault has met some of their runs, each time with runs twice as long: on a busy
    machine it may come when all are over, or take so long that they end before. What is promised must hold
    in each play; the numbers are those of the last. `mended` waits until the service is whole again."""
    for times in LONGER:
        summary, told = play_sessions(story, f"{name}-{times}", fault, STEPS * times)
        mended()
        assert_none_lost(summary, told)
        if told.moved:
            return summary, told
    pytest.fail(f"{name}: no run was met in {len(LONGER)} plays, the last with {STEPS * LONGER[-1]} steps")


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


def whole(story: Story) -> None:
    """Waits until all replicas are there and ready."""
    story.until_replicas(REPLICAS, 300)


def test_a_rolling_restart_repeats_no_step(story: Story, report: Report) -> None:
    old: set[str] = set()

    def new_template() -> None:
        old.update(pod["metadata"]["name"] for pod in story.pods())
        stamp = {"annotations": {"example.org/restarted-at": str(time.time())}}
        story.kubectl.merge(RESOURCE, {"spec": {"pod": stamp}})

    def restarted() -> None:
        whole(story)
        assert old.isdisjoint(pod["metadata"]["name"] for pod in story.pods())

    summary, told = play_until_met(story, "restart", new_template, restarted)

    tell(report, "rolling restart", summary, told, "0")
    assert told.repeated == ()


def a_ready_pod_at_work(story: Story) -> dict[str, Any]:
    """A replica that is in the middle of steps, as soon as there is one."""

    def look() -> dict[str, Any] | None:
        working = set(in_flight(story.records()))
        ready = [pod for pod in story.pods() if is_ready(pod)]
        return next((pod for pod in ready if pod["metadata"]["name"] in working), None)

    return story.kubectl.until("a ready replica with steps in flight", look, 120)


def test_a_killed_replica_costs_at_most_the_step_in_flight(story: Story, report: Report) -> None:
    if not nodes.are_ours():
        pytest.skip("SIGKILL from outside of a container takes the nodes of a kind cluster")

    def kill() -> None:
        nodes.kill_container(a_ready_pod_at_work(story), "runtime")

    summary, told = play_until_met(story, "sigkill", kill, lambda: whole(story))

    tell(report, "SIGKILL", summary, told, "the steps in flight")


def ensure_a_replica_on(story: Story, node: str) -> None:
    """Where no replica is on a node, one is moved there: the scheduler promises none to any node."""

    def there() -> bool:
        return any(pod["spec"].get("nodeName") == node and is_ready(pod) for pod in story.pods())

    if there():
        return
    elsewhere = story.pods()[0]
    run("kubectl", "cordon", elsewhere["spec"]["nodeName"])
    try:
        story.kubectl("delete", "pod", elsewhere["metadata"]["name"], "--wait=true", timeout=180)
        story.kubectl.until(f"a replica on {node}", there, 180)
    finally:
        run("kubectl", "uncordon", elsewhere["spec"]["nodeName"])
    whole(story)


def test_a_lost_node_costs_at_most_the_steps_in_flight(story: Story, report: Report) -> None:
    if not nodes.are_ours() or story.lose is None:
        pytest.skip("taking a node away needs a kind cluster with two workers")
    lost = str(story.lose)

    def lose() -> None:
        story.kubectl.until(f"steps in flight on {lost}", lambda: _works_on(story, lost), 120)
        nodes.power_off(lost)

    def back() -> None:
        nodes.power_on(lost)
        story.kubectl("wait", "--for=condition=Ready", f"node/{lost}", "--timeout=180s", timeout=200)
        whole(story)
        ensure_a_replica_on(story, lost)

    ensure_a_replica_on(story, lost)
    try:
        summary, told = play_until_met(story, "node", lose, back)
    finally:
        nodes.power_on(lost)

    tell(report, "lost node", summary, told, "the steps in flight")


def _works_on(story: Story, node: str) -> bool:
    """Whether a replica on a node is in the middle of a step."""
    working = set(in_flight(story.records()))
    return any(
        pod["spec"].get("nodeName") == node and pod["metadata"]["name"] in working for pod in story.pods()
    )
