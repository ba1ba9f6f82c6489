"""5. The operator may die, and nobody's hand undoes its work.

Killed in the middle of a spike, its successor goes on from the memory in the status. A hand edit of the
Deployment is repaired.
"""

from __future__ import annotations

import time

from e2e.harness import nodes
from e2e.harness.kubectl import is_ready
from e2e.harness.report import Report
from e2e.harness.watch import replicas_of
from e2e.story import NAME, URL, Story

LEASE = "lease/lgs-operator"


def leader(story: Story) -> str:
    """Name of the pod that leads, or nothing while nobody does."""
    return str(story.system.get(LEASE)["spec"].get("holderIdentity") or "")


def kill(story: Story, pod: str) -> None:
    """SIGKILL, so that it hands nothing over; then its pod goes, so that its successor is another one."""
    if nodes.are_ours():
        nodes.kill_container(story.system.get(f"pod/{pod}"), "operator")
    story.system("delete", "pod", pod, "--grace-period=0", "--force")


def test_the_successor_of_a_killed_operator_goes_on_with_the_spike(story: Story, report: Report) -> None:
    minimum = story.service()["spec"]["scaling"]["minReplicas"]
    story.until_replicas(minimum, 180)
    before = story.kubectl.until("a leading operator", lambda: leader(story), 180)

    with replicas_of(story.kubectl, NAME) as replicas:
        play = story.stage.play(
            "spike-without-operator",
            *("spike", "--url", URL, "--step-seconds", "2", "--base-rate", "0.5", "--spike-rate", "5"),
            # Long enough that it is still going on when the successor leads, on a busy machine too.
            *("--base-seconds", "10", "--spike-seconds", "120", "--after-seconds", "10", "--deadline", "500"),
        )
        play.said("spike", 180)
        kill(story, before)
        killed = time.time()
        story.system.until("another leader", lambda: leader(story) not in {"", before}, 180)
        led = time.time()
        story.kubectl.until("a decision of the successor", lambda: replicas.first_above(minimum, led), 180)
        summary = play.summary(600)

    report.add("operator killed: until another leads", led - killed, "s")
    report.add("operator killed: runs lost", summary["lost"], "", "0")
    assert summary["lost"] == summary["wrong"] == 0, summary["examples_of_problems"]
    story.until_replicas(minimum, 600)


def test_a_hand_edit_of_the_deployment_is_repaired(story: Story, report: Report) -> None:
    image = story.deployment()["spec"]["template"]["spec"]["containers"][0]["image"]

    story.kubectl("set", "image", f"deployment/{NAME}", "runtime=localhost/not-ours:1")
    edited = time.time()

    def repaired() -> bool:
        return bool(story.deployment()["spec"]["template"]["spec"]["containers"][0]["image"] == image)

    story.kubectl.until("the repair of the image", repaired, 180)
    report.add("hand edit to repair", time.time() - edited, "s")
    story.until_ready(120)

    def only_ours() -> bool:
        pods = story.pods()
        images = {pod["spec"]["containers"][0]["image"] for pod in pods}
        return images == {image} and all(is_ready(pod) for pod in pods)

    # The pod that the edit asked for may need a moment to go.
    story.kubectl.until("ready pods of the manifest alone", only_ours, 120)
