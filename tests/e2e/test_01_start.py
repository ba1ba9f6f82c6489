"""1. From nothing to Ready.

helm installs the operator of the release before, kubectl applies the example, helm upgrades to this one
without a replica that notices, and a stranger can read off what is going on.
"""

from __future__ import annotations

import copy
import json
import time
from pathlib import Path
from typing import Any

from e2e.harness import nodes
from e2e.harness.kubectl import Kubectl, condition, run
from e2e.harness.report import Report
from e2e.story import NAME, POSTGRES_UID, RECORDS_URI, RELEASE, RESOURCE, Story, records_store
from support.previous_release import unpacked


def test_helm_installs_the_operator(story: Story, report: Report, tmp_path: Path) -> None:
    story.system.apply(restricted(story.system.namespace))
    before = unpacked(tmp_path)
    began = time.monotonic()

    install(story, before.chart, "lgs-testing-previous")

    report.add("helm install to ready operators", time.monotonic() - began, "s")
    assert Kubectl("default").exists("crd/langgraphservices.lgs.dev")


def test_the_example_becomes_ready(story: Story, report: Report) -> None:
    prepare_stage(story)
    manifest = copy.deepcopy(story.manifest)
    # What the story adds to the example: records, and room to overshoot, so that its limit has a meaning.
    manifest["spec"]["scaling"] |= {"maxReplicas": 12, "overshoot": 1.5}
    manifest["spec"]["pod"] = {"env": [{"name": "STEP_RECORDS", "value": RECORDS_URI}]}
    manifest["apiVersion"] = "lgs.dev/v1alpha1"  # the release before knows no other
    began = time.monotonic()

    story.kubectl.apply(manifest)
    story.until_ready(240)

    report.add("apply to Ready, with a new PostgreSQL and Redis", time.monotonic() - began, "s")
    if story.lose:
        run("kubectl", "uncordon", story.lose)


def test_helm_upgrade_replaces_no_replica_and_no_server(story: Story, report: Report) -> None:
    before = running(story)
    began = time.monotonic()

    install(story, story.root / "helm" / "lgs-operator", "lgs-operator")
    report.add("helm upgrade to ready operators", time.monotonic() - began, "s")
    story.kubectl.merge(RESOURCE, {"spec": {"revisionHistoryLimit": 9}})
    story.kubectl.until("what only this release tells", lambda: told_by_this_release(story), 120)
    story.until_ready(120)

    assert running(story) == before


def install(story: Story, chart: Path, operator: str) -> None:
    """Has helm install this chart with this operator, or upgrade to it, and waits until it is ready."""
    run(
        *("helm", "upgrade", "--install", RELEASE, str(chart)),
        *("--namespace", story.system.namespace, "--wait", "--timeout", "3m"),
        *("--values", "-"),
        text=operator_values(story, operator),
        timeout=240,
    )


def running(story: Story) -> dict[str, tuple[str, int]]:
    """Each pod of the service, and how often its containers were started anew."""
    pods = story.kubectl.items("pods", "-l", f"lgs.dev/service={NAME}")
    return {
        pod["metadata"]["name"]: (
            pod["metadata"]["uid"],
            sum(each["restartCount"] for each in pod["status"]["containerStatuses"]),
        )
        for pod in pods
    }


def told_by_this_release(story: Story) -> bool:
    """By which image the replicas run was not told before."""
    service = story.service()
    is_new = service["status"]["observedGeneration"] == service["metadata"]["generation"]
    return is_new and bool(service["status"]["revisions"][0].get("imageDigests"))


def test_a_stranger_can_read_off_what_is_going_on(story: Story) -> None:
    table = story.kubectl("get", "lgs", NAME)
    described = story.kubectl("describe", "lgs", NAME)

    assert table.split("\n")[0].split()[:7] == [
        "NAME", "READY", "REVISION", "DESIRED", "REPLICAS", "QUEUE", "P95",
    ]  # fmt: skip
    assert table.split("\n")[1].split()[1] == "True"
    assert "Ready" in described
    assert "Events:" in described
    for kind in ("Ready", "PersistenceReady", "CacheReady", "ScalingActive"):
        story.kubectl.until(f"condition {kind}", lambda kind=kind: is_true(story, kind), 180)


def is_true(story: Story, kind: str) -> bool:
    """Whether a condition of the service is True."""
    return bool(condition(story.service(), kind).get("status") == "True")


def prepare_stage(story: Story) -> None:
    """A namespace with the graph, the records' Redis and the player. Databases go to the node that stays."""
    run("kubectl", "delete", "namespace", "story", "--ignore-not-found", timeout=180)
    story.kubectl.apply(restricted("story"))
    if story.lose:
        if nodes.are_ours():
            nodes.one_name_server_on_each_worker()
        # Until the service is ready, so that no database is on the node that will be lost.
        run("kubectl", "cordon", story.lose)
    graph = story.root / "examples" / "support" / "graph.py"
    story.kubectl("create", "configmap", "support-graph", f"--from-file={graph}")
    for manifest in records_store(story.image("lgs-testing-redis"), story.keep):
        story.kubectl.apply(manifest)
    story.stage.prepare()
    story.kubectl("rollout", "status", "deployment/records", "--timeout=120s")


def restricted(name: str) -> dict[str, Any]:
    """A namespace that takes only pods of the restricted profile."""
    enforced = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": enforced}}


def operator_values(story: Story, operator: str) -> str:
    """The chart's values as JSON: two operators of this image, this build's runtime, databases that need no
    registry."""
    repository, tag = story.image(operator).rsplit(":", 1)
    images = {
        "runtime": story.image("lgs-runtime"),
        "postgres": story.image("lgs-testing-postgres"),
        "postgresUid": POSTGRES_UID,
        "redis": story.image("lgs-testing-redis"),
        "pullPolicy": "IfNotPresent",
    }
    image = {"repository": repository, "tag": tag}
    return json.dumps({"replicas": 2, "clusterWide": True, "image": image, "images": images})
