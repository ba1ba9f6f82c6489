"""A stranger sees why a pod stays in `ContainerCreating`: its node's words are in the conditions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from lgs_operator.kube.kept_pod import kept_pod
from lgs_operator.kube.newest_events import NewestEvents
from lgs_operator.status.diagnosis import Diagnosis
from lgs_operator.status.node_words import held_up, told_by
from lgs_operator.status.observed import ObservedService
from lgs_operator.status.service import persistence_ready, ready
from support.desired import service

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ATTACHED = "Multi-Attach error for volume pvc-1: already attached to another node"


def pod(
    name: str = "support-1", *, since: str = "11:59:00", reason: str | None = "ContainerCreating", **more: Any
) -> dict[str, Any]:
    """One that a node took then, and whose containers wait for this reason; None: they run."""
    state = {"running": {}} if reason is None else {"waiting": {"reason": reason}}
    taken = {"type": "PodScheduled", "status": "True", "lastTransitionTime": f"2026-01-01T{since}Z"}
    status = {"phase": "Pending", "conditions": [taken], "containerStatuses": [{"state": state}]}
    metadata = {"name": name, "creationTimestamp": f"2026-01-01T{since}Z"}
    return {"metadata": metadata, "status": status} | more


def event(at: str, reason: str, message: str = "why", kind: str = "Warning") -> dict[str, Any]:
    return {"type": kind, "reason": reason, "message": message, "lastTimestamp": f"2026-01-01T{at}Z"}


def test_the_newest_pod_whose_node_takes_long_is_looked_at() -> None:
    before, after = pod("a", since="11:58:00"), pod("b", reason="PodInitializing")

    assert held_up([before, after, pod("c", since="11:59:55")], NOW) == after
    assert held_up([pod(reason=None), pod(reason="ImagePullBackOff")], NOW) is None
    assert held_up([{"metadata": {"name": "x"}}, {"metadata": {"name": "y"}, "status": {}}], NOW) is None
    going = pod()
    going["metadata"]["deletionTimestamp"] = "2026-01-01T11:59:30Z"
    assert held_up([going], NOW) is None
    started = pod()
    started["status"]["initContainerStatuses"] = [{"state": {"running": {}}}]
    assert held_up([started], NOW) is None, "one that goes before runs"


@pytest.mark.parametrize(
    ("events", "reason", "words"),
    [
        ([], None, ""),
        ([event("11:59:01", "Scheduled", kind="Normal")], None, ""),
        ([event("11:59:02", "FailedAttachVolume", ATTACHED)], "FailedAttachVolume", ATTACHED),
        (
            [
                event("11:59:02", "FailedMount", "driver x is not found"),
                event("11:59:40", "FailedMount", "Unable to attach or mount volumes: timed out"),
            ],
            "FailedMount",
            "driver x is not found",
        ),
        ([event("11:59:40", "FailedMount", "Unable to attach or mount volumes: x")], "FailedMount", ": x"),
        (
            [event("11:59:02", "FailedMount"), event("11:59:03", "Pulling", kind="Normal")],
            None,
            "it goes on since",
        ),
        ([{"reason": "FailedMount", "eventTime": None}], "FailedMount", "it does not say why"),
        ([event("11:59:02", "Evil")], None, ""),
    ],
)  # fmt: skip
def test_the_last_failure_of_a_node_is_told_unless_it_has_come_further(
    events: list[dict[str, Any]], reason: str | None, words: str
) -> None:
    found = told_by(events, pod())

    assert (found and found.reason) == reason
    if found is not None:
        assert found.message.startswith("pod support-1 is held up at its node: ")
        assert words in found.message


MOUNT, SANDBOX = "FailedMount", "FailedCreatePodSandBox"
SUMMARY = "Unable to attach or mount volumes: unmounted volumes=[{}], unattached volumes=[]: timed out"


def attached(at: str, volume: str) -> dict[str, Any]:
    words = f'AttachVolume.Attach succeeded for volume "{volume}"'
    return event(at, "SuccessfulAttachVolume", words, kind="Normal")


@pytest.mark.parametrize(
    "newer",
    [
        attached("11:59:20", "pv-of-another"),
        event("11:59:20", "Scheduled", kind="Normal"),
        event("11:59:20", "TriggeredScaleUp", kind="Normal"),
        event("11:59:20", "Nominated", kind="Normal"),
        event("11:59:20", "FailedToRetrieveImagePullSecret"),
        event("11:59:20", "Invented"),
    ],
    ids=lambda each: str(each["reason"]),
)
@pytest.mark.parametrize("failure", [MOUNT, "FailedAttachVolume", SANDBOX, "NetworkNotReady"])
def test_what_is_no_progress_of_the_pod_hides_no_failure(failure: str, newer: dict[str, Any]) -> None:
    found = told_by([event("11:59:10", failure, 'of volume "pv"'), newer], pod())

    assert found is not None and found.reason == failure


def test_a_sandbox_that_is_made_again_and_again_hides_no_failure_of_it() -> None:
    again = event("11:59:21", "SandboxChanged", kind="Normal")

    found = told_by([event("11:59:20", SANDBOX, "no address left"), again], pod())

    assert found is not None and "no address left" in found.message


@pytest.mark.parametrize(
    "events",
    [
        [event("11:59:10", MOUNT), event("11:59:20", "SandboxChanged", kind="Normal")],
        [event("11:59:10", "FailedAttachVolume", 'of volume "pv"'), attached("11:59:20", "pv")],
        [event("11:59:10", "NetworkNotReady"), event("11:59:20", "Pulled", kind="Normal")],
        [event("11:59:20", MOUNT), event("11:59:20", "Pulling", kind="Normal")],
        [event("11:59:10", SANDBOX), event("11:59:20", "BackOff")],
    ],
    ids=["mounted", "attached", "has a network", "in the same second", "has a sandbox"],
)
def test_a_failure_that_is_over_is_not_told(events: list[dict[str, Any]]) -> None:
    assert told_by(events, pod()) is None
    assert told_by(events[::-1], pod()) is None


@pytest.mark.parametrize(
    ("earlier", "later"), [(MOUNT, SANDBOX), (SANDBOX, MOUNT), ("NetworkNotReady", MOUNT)]
)
def test_of_two_failures_the_one_where_the_pod_is_now_is_told(earlier: str, later: str) -> None:
    events = [event("11:59:10", earlier), event("11:59:30", later, SUMMARY.format("data"))]

    found = told_by(events, pod())

    assert found is not None and found.reason == later


def test_of_two_volumes_the_one_that_is_not_mounted_is_told() -> None:
    keys = event("11:59:10", MOUNT, 'MountVolume.SetUp failed for volume "keys" : secret "keys" not found')
    disk = event("11:59:12", MOUNT, 'MountVolume.SetUp failed for volume "pvc-1" : no such disk')
    of_pod = pod(spec={"volumes": [{"name": "keys"}, {"name": "data"}]})

    def told(*events: dict[str, Any]) -> str:
        found = told_by(events, of_pod)
        return "" if found is None else found.message

    assert "secret" in told(keys, event("11:59:40", MOUNT, SUMMARY.format("keys data")))
    assert "secret" not in told(keys, event("11:59:40", MOUNT, SUMMARY.format("data")))
    assert "no such disk" in told(keys, disk, event("11:59:40", MOUNT, SUMMARY.format("data")))


def test_the_last_time_of_a_series_counts() -> None:
    first = {"type": "Warning", "eventTime": "2026-01-01T11:59:02.000005Z"}
    series = first | {"reason": MOUNT, "series": {"lastObservedTime": "2026-01-01T11:59:40.000001Z"}}
    newest = NewestEvents()
    for each in (series | {"message": "again"}, event("11:59:30", SANDBOX), event("11:59:40", "Evil")):
        newest.keep(each)

    found = told_by(newest.found, pod())

    assert found is not None and found.reason == MOUNT


def test_a_pod_whose_network_is_there_is_held_up_no_more() -> None:
    begun = pod()
    begun["status"]["conditions"].append({"type": "PodReadyToStartContainers", "status": "True"})

    assert held_up([kept_pod(begun)], NOW) is None, "that is kept of a pod"
    assert held_up([kept_pod(pod())], NOW) is not None


def test_it_is_told_of_the_replicas_and_of_the_managed_database() -> None:
    managed = service(persistence={"postgres": {"managed": {}}})
    told = {"support-postgres-0": Diagnosis("FailedAttachVolume", ATTACHED)}
    server = {"kind": "StatefulSet", "metadata": {"name": "support-postgres"}, "status": {}}
    deployment = {"metadata": {"name": "support"}, "spec": {"replicas": 1}, "status": {}}
    postgres = (pod("support-postgres-0"),)

    seen = ObservedService(managed, deployment, postgres=server, postgres_pods=postgres, told=told)

    assert persistence_ready(seen).reason == "FailedAttachVolume"
    assert ATTACHED in persistence_ready(seen).message
    own = ObservedService(service(), deployment, (pod(),), told={"support-1": told["support-postgres-0"]})
    assert ready(own).reason == "FailedAttachVolume"
    assert ready(ObservedService(service(), deployment, (pod(),), told=told)).reason == "Starting"
