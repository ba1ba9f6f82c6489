"""What a stranger reads in the conditions, as stories of what goes wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from lgs_crds import LangGraphService, parse
from lgs_crds.status import DatabaseStatus, ScalingStatus, condition
from lgs_operator.kube.kinds import SECRET
from lgs_operator.kube.referenced import MissingReference, Reference
from lgs_operator.scaling import Decision, Memory
from lgs_operator.status.diagnosis import Diagnosis
from lgs_operator.status.halted import deleting_message, halted_status
from lgs_operator.status.observed import ObservedService
from lgs_operator.status.scaling import ScalingView, scaling_before, scaling_view
from lgs_operator.status.service import (
    cache_ready,
    persistence_ready,
    progressing,
    ready,
    reconciled,
    status_of,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def service(**spec: Any) -> LangGraphService:
    return parse(
        {
            "apiVersion": "lgs.dev/v1alpha1",
            "kind": "LangGraphService",
            "metadata": {"name": "support", "namespace": "team", "uid": "u1", "generation": 3},
            "spec": {"image": "example.com/support:1"} | spec,
        }
    )


def deployment(replicas: int = 1, **status: Any) -> dict[str, Any]:
    usual = {"observedGeneration": 1, "updatedReplicas": replicas, "replicas": replicas}
    return {"metadata": {"generation": 1}, "spec": {"replicas": replicas}, "status": usual | status}


def pod(
    *, ready: bool = False, created: str = "1", state: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    container = {"image": "example.com/support:1", "ready": ready, "state": state or {"running": {}}} | more
    conditions = [{"type": "Ready", "status": str(ready)}]
    status = {"phase": "Running", "conditions": conditions, "containerStatuses": [container]}
    return {"metadata": {"name": f"support-{created}", "creationTimestamp": created}, "status": status}


def view(*pods: dict[str, Any], **more: Any) -> ObservedService:
    return ObservedService(**({"service": service(), "deployment": deployment(), "pods": pods} | more))


DATABASE = {"persistence": {"postgres": {"uriSecret": {"name": "db"}}}}


def test_a_replica_that_takes_work_makes_the_service_ready() -> None:
    seen = view(pod(ready=True))

    assert (ready(seen).status, ready(seen).message) == ("True", "1 of 1 replicas take work")
    assert progressing(seen).reason == "Complete"


def test_an_image_that_cannot_be_had_is_named() -> None:
    waiting = {"waiting": {"reason": "ErrImageNeverPull", "message": "not present"}}

    said = ready(view(pod(state=waiting)))

    assert (said.reason, said.message) == (
        "ErrImageNeverPull",
        "image example.com/support:1 can't be had: not present",
    )


def test_the_last_words_of_a_crash_are_quoted() -> None:
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    last = {"terminated": {"exitCode": 2, "message": "graphs: agent: no module graph\n"}}

    said = ready(view(pod(state=waiting, lastState=last)))

    assert said.reason == "CrashLoopBackOff"
    assert said.message == "pod support-1 ended with exit code 2: graphs: agent: no module graph"


def test_the_last_line_of_a_crash_is_told_first_and_no_line_in_part() -> None:
    """A table of Events shows the first line of a message, and the last line of a log says why."""
    log = "\n".join(f"{number}: {'x' * 90}" for number in range(20))
    last = {"terminated": {"exitCode": 1, "message": f"{log}\ninitdb: error: Permission denied\n"}}

    said = ready(view(pod(lastState=last))).message

    first, *others = said.splitlines()
    assert first == "pod support-1 ended with exit code 1: initdb: error: Permission denied; before that:"
    assert others == log.splitlines()[-len(others) :]
    assert 3 < len(others) < 10


def test_one_endless_line_of_a_crash_is_cut() -> None:
    last = {"terminated": {"exitCode": 1, "message": f"begin\n{'x' * 4000}end"}}

    said = ready(view(pod(lastState=last))).message

    assert said.endswith("xend")
    assert len(said) < 700


def test_a_pod_without_a_node_says_why() -> None:
    lonely = pod()
    lonely["status"] = {
        "phase": "Pending",
        "conditions": [
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": "0/3 nodes: too little cpu",
            }
        ],
    }

    said = ready(view(lonely))

    assert (said.reason, said.message) == (
        "Unschedulable",
        "pod support-1 has no node: 0/3 nodes: too little cpu",
    )


def test_a_stuck_update_is_told_while_the_old_replica_serves() -> None:
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "gone"}}

    seen = view(pod(ready=True, created="1"), pod(state=waiting, created="2"))

    assert ready(seen).status == "True"
    assert (progressing(seen).status, progressing(seen).reason) == ("False", "ImagePullBackOff")


def test_a_missing_secret_is_named_in_the_condition_of_its_part() -> None:
    missing = MissingReference(
        "SecretNotFound", "…", Reference(SECRET, "db", "spec.persistence.postgres.uriSecret")
    )
    seen = ObservedService(service=service(**DATABASE), missing=(missing,))

    assert (
        ready(seen).reason == persistence_ready(seen).reason == progressing(seen).reason == "SecretNotFound"
    )
    assert cache_ready(seen).status == "True"


def test_an_unreachable_database_is_told_by_the_replicas_themselves() -> None:
    seen = view(
        pod(), service=service(**DATABASE), reports={"support-1": {"database": "refused", "queue": "ok"}}
    )

    assert (ready(seen).reason, ready(seen).message) == (
        "DatabaseUnreachable",
        "pod support-1: database: refused",
    )
    assert persistence_ready(seen).reason == "DatabaseUnreachable"


def test_how_a_replica_ended_once_is_no_trouble_of_the_one_that_started_since() -> None:
    ended = {"terminated": {"exitCode": 1, "message": "KeyError: 'x'"}}
    since = pod(state={"running": {}}, started=True, lastState=ended)
    words = {"support-1": {"database": "no answer within 2 s"}}

    seen = view(since, service=service(**DATABASE), reports=words)

    assert ready(seen).reason == persistence_ready(seen).reason == "DatabaseUnreachable"
    assert ready(view(since)).reason == "Starting"
    assert progressing(seen).reason == "Starting"


def test_replicas_that_ended_at_a_cluster_which_is_not_ready_are_told_in_its_words() -> None:
    words = "DATABASE_URI: postgres://h/d: must be a database that can be reached: refused"
    last = {"terminated": {"exitCode": 1, "message": words}}
    crashed = pod(state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState=last)
    by_reference = service(persistence={"postgres": {"cloudNativePG": {"cluster": "main"}}})
    cluster = Diagnosis("ClusterNotReady", "Cluster main of CloudNativePG: Creating a new replica")

    seen = view(crashed, service=by_reference, cluster=cluster)

    for told in (ready(seen), progressing(seen), persistence_ready(seen)):
        assert (told.reason, told.message) == (cluster.reason, cluster.message)
    assert ready(replace(seen, cluster=None)).reason == "CrashLoopBackOff"


MANAGED = {"persistence": {"postgres": {"managed": {}}}}
AT_DATABASE = {
    "state": {"waiting": {"reason": "CrashLoopBackOff"}},
    "lastState": {
        "terminated": {"exitCode": 1, "message": "DATABASE_URI: postgres://h/d: must be one: refused"}
    },
}


def stateful_set(policy: str, update: str) -> dict[str, Any]:
    metadata = {"name": "support-postgres"}
    status = {"updateRevision": f"support-postgres-{update}"}
    return {
        "kind": "StatefulSet",
        "metadata": metadata,
        "spec": {"podManagementPolicy": policy},
        "status": status,
    }


def killed(template: str) -> dict[str, Any]:
    server = pod(lastState={"terminated": {"exitCode": 137, "reason": "OOMKilled"}})
    server["metadata"] = {
        "name": "support-postgres-0",
        "labels": {"controller-revision-hash": f"support-postgres-{template}"},
    }
    return server


def test_replicas_that_ended_at_a_managed_database_which_is_down_are_told_in_its_words() -> None:
    seen = view(
        pod(**AT_DATABASE),
        service=service(**MANAGED),
        postgres=stateful_set("Parallel", "a"),
        postgres_pods=(killed("a"),),
    )

    for told in (ready(seen), progressing(seen), persistence_ready(seen)):
        assert told.reason == "OOMKilled"
        assert told.message.startswith("the managed database: pod support-postgres-0 was killed")
        assert "delete pod" not in told.message


def test_replicas_that_ended_at_a_managed_database_which_starts_are_on_their_way() -> None:
    seen = view(pod(**AT_DATABASE), service=service(**MANAGED), postgres=stateful_set("Parallel", "a"))
    seen = replace(seen, postgres_pods=(pod(),))

    assert (ready(seen).reason, ready(seen).message) == ("Starting", "the managed database is starting")
    assert (progressing(seen).status, progressing(seen).reason) == ("True", "Starting")


@pytest.mark.parametrize(
    ("policy", "pod_of", "is_told"),
    [("OrderedReady", "old", True), ("OrderedReady", "new", False), ("Parallel", "old", False)],
)
def test_a_pod_that_kubernetes_does_not_replace_by_a_mended_manifest_is_to_be_deleted(
    policy: str, pod_of: str, is_told: bool
) -> None:
    """StatefulSets of an older operator: the policy can't be changed."""
    seen = view(
        service=service(**MANAGED), postgres=stateful_set(policy, "new"), postgres_pods=(killed(pod_of),)
    )

    told = persistence_ready(seen).message

    assert ("kubectl delete pod support-postgres-0" in told) is is_told


def test_pods_that_wait_for_another_cluster_are_told_and_those_that_serve_on_the_old_one_go_on() -> None:
    by_reference = service(persistence={"postgres": {"cloudNativePG": {"cluster": "other"}}})
    awaited = Diagnosis("ClusterNotReady", "Cluster other of CloudNativePG: Setting up primary")

    new = view(service=by_reference, deployment=None, awaited=awaited)
    moving = view(pod(ready=True), service=by_reference, awaited=awaited)

    assert ready(new).reason == progressing(new).reason == reconciled(new).reason == awaited.reason
    assert ready(moving).reason == "Serving"
    assert persistence_ready(moving).reason == "Connected"
    assert (progressing(moving).message, reconciled(moving).message) == (awaited.message, awaited.message)


def test_a_replica_that_ended_at_an_emptied_database_is_told_by_that_with_the_way_out() -> None:
    words = "DATABASE_URI: postgres://h/d: the database is empty: its id was 0d9f8a5e: restore it"
    last = {"terminated": {"exitCode": 2, "message": f"KeyError: 'x'\n{words}\n"}}
    crashed = pod(state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState=last)

    seen = replace(view(crashed, service=service(**DATABASE)), database=DatabaseStatus(id="0d9f8a5e"))
    forgotten = replace(seen, database=DatabaseStatus())

    for told in (ready(seen), progressing(seen), persistence_ready(seen)):
        assert told.reason == "DatabaseEmpty"
        assert "kubectl annotate lgs support lgs.dev/forget-database=0d9f8a5e" in told.message
    assert "kubectl" not in ready(forgotten).message


@pytest.mark.parametrize(
    ("managed", "source"),
    [
        ({"backup": {"schedule": "@daily", "volume": {}}}, "support"),
        ({"backup": {"schedule": "@daily", "volume": {}}, "restoreFrom": {"service": "older"}}, "support"),
        ({"restoreFrom": {"service": "older"}}, "older"),
        ({}, None),
    ],
)
def test_a_managed_database_that_came_back_empty_has_the_way_to_its_backups(
    managed: dict[str, Any], source: str | None
) -> None:
    """`restoreFrom` in its manifest is no such way: it is there for a new service."""
    words = "DATABASE_URI: postgres://h/d: the database is empty: its id was 0d9f8a5e: restore it"
    last = {"terminated": {"exitCode": 2, "message": words}}
    crashed = pod(state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState=last)
    server = {"status": {"readyReplicas": 1}}
    database = service(persistence={"postgres": {"managed": managed}})

    told = ready(view(crashed, service=database, postgres=server, database=DatabaseStatus(id="0d9f8a5e")))

    assert told.reason == "DatabaseEmpty"
    assert ("kubectl delete lgs support" in told.message) is (source is not None)
    assert source is None or f"restoreFrom.service: {source}." in told.message


def test_words_of_the_applications_own_are_not_taken_for_the_databases() -> None:
    last = {"terminated": {"exitCode": 1, "message": "the database is empty\nValueError: no customers"}}
    crashed = pod(state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState=last)

    assert ready(view(crashed, service=service(**DATABASE))).reason == "CrashLoopBackOff"


@pytest.mark.parametrize(
    ("last_words", "reason"),
    [
        (
            "DATABASE_URI: postgres://h/d: must be a database that can be reached: refused",
            "DatabaseUnreachable",
        ),
        (
            'Traceback (most recent call last):\n  File "/app/database.py", line 1, in <module>\n'
            "KeyError: 'DATABASE_URI'\n"
            "graphs.agent: ./a.py:graph: it raised at import: KeyError: 'DATABASE_URI' (/app/a.py:1)",
            "Unknown",
        ),
    ],
)
def test_a_start_that_fails_is_the_databases_fault_only_if_its_last_line_says_so(
    last_words: str, reason: str
) -> None:
    last = {"terminated": {"exitCode": 2, "message": f"{last_words}\n"}}
    crashed = pod(state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState=last)

    seen = view(crashed, service=service(**DATABASE))

    told = persistence_ready(seen)
    assert reason in (told.reason, told.status)
    first, *_ = ready(seen).message.splitlines()
    assert last_words.splitlines()[-1] in first
    assert set(last_words.splitlines()[:-1]) <= set(ready(seen).message.splitlines())


def test_nothing_is_claimed_about_a_database_that_nobody_asked() -> None:
    assert persistence_ready(view(pod(), service=service(**DATABASE))).status == "Unknown"


def test_old_replicas_that_drain_are_progress() -> None:
    seen = view(
        pod(ready=True),
        deployment=deployment(replicas=1, replicas_=0)
        | {"status": {"observedGeneration": 1, "updatedReplicas": 1, "replicas": 2}},
    )

    assert progressing(seen).message == "1 old replicas drain"


def test_an_unchanged_service_has_an_unchanged_status() -> None:
    seen = view(pod(ready=True))
    first = status_of(seen, ScalingView(), {}, NOW)

    again = status_of(seen, ScalingView(), first, datetime(2026, 1, 2, tzinfo=UTC))

    assert again == first
    assert first["selector"] == (
        "lgs.dev/service=support,app.kubernetes.io/component=runtime,!lgs.dev/track"
    ), "an HPA counts the pods of status.replicas, and none of a canary"


PAUSED = Diagnosis("Paused", "spec.paused is true")


def said_of(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}


def test_a_paused_service_keeps_what_was_known() -> None:
    serving = status_of(view(pod(ready=True)), ScalingView(), {}, NOW)

    paused = halted_status(serving, 4, PAUSED, (pod(ready=True),), NOW)

    known = said_of(paused)
    assert known["Ready"] == ("True", "Paused")
    assert known["PersistenceReady"] == ("True", "Embedded")
    assert (paused["observedGeneration"], paused["readyReplicas"]) == (4, 1)


@pytest.mark.parametrize("pods", [(), (pod(),)])
def test_a_paused_service_without_a_replica_that_takes_work_is_not_ready(
    pods: tuple[dict[str, Any], ...],
) -> None:
    serving = status_of(view(pod(ready=True)), ScalingView(), {}, NOW)

    paused = halted_status(serving, 4, PAUSED, pods, NOW)

    assert said_of(paused)["Ready"] == ("False", "Paused")
    assert (paused["replicas"], paused["readyReplicas"]) == (len(pods), 0)


def test_replicas_of_a_paused_service_follow_no_load() -> None:
    active = condition("ScalingActive", "True", "Measuring", "replicas follow the load")
    decided = ScalingView((active,), ScalingStatus(desired_replicas=4, memory='{"v":1}'), 7, "1.50s", 4)
    serving = status_of(view(pod(ready=True)), decided, {}, NOW)

    paused = halted_status(serving, 4, PAUSED, (pod(ready=True),), NOW)

    assert said_of(paused)["ScalingActive"] == ("False", "Paused")
    assert paused["scaling"]["memory"] == '{"v":1}'


STEADY = Decision(2, "the load", "Steady", {}, None, Memory())


@pytest.mark.parametrize(
    ("mode", "decision", "refused", "active", "limited"),
    [
        ("Auto", STEADY, None, ("True", "Measuring"), ("False", "NotLimited")),
        ("Auto", replace(STEADY, code="NoData"), None, ("False", "NoData"), ("False", "NotLimited")),
        ("Auto", STEADY, "1 to 2 was refused", ("False", "Refused"), ("False", "NotLimited")),
        ("Auto", replace(STEADY, limited="max"), None, ("True", "Measuring"), ("True", "TooManyReplicas")),
        ("Manual", replace(STEADY, limited="max"), None, ("False", "Manual"), ("False", "NotLimited")),
        ("External", STEADY, None, ("False", "External"), ("False", "NotLimited")),
        ("Auto", None, None, ("False", "NoReplica"), ("False", "NotLimited")),
        ("Manual", None, None, ("False", "Manual"), ("False", "NotLimited")),
    ],
)
def test_the_conditions_say_whether_the_replicas_follow_the_load(
    mode: str,
    decision: Decision | None,
    refused: str | None,
    active: tuple[str, str],
    limited: tuple[str, str],
) -> None:
    wanted = service(scaling={"mode": mode})

    said = scaling_view(wanted, decision, ScalingView(), 0.0, refused=refused).conditions

    assert {each.type: (each.status, each.reason) for each in said} == {
        "ScalingActive": active,
        "ScalingLimited": limited,
    }


def test_what_the_law_remembers_outlives_the_operator_that_remembered_it() -> None:
    active = condition("ScalingActive", "True", "Measuring", "replicas follow the load")
    decided = ScalingView((active,), ScalingStatus(desired_replicas=4, memory='{"v":1}'), 7, "1.50s", 4)
    written = status_of(view(pod(ready=True)), decided, {}, NOW)

    first_of_successor = status_of(view(pod(ready=True)), scaling_before(written), written, NOW)

    assert first_of_successor == written


@pytest.mark.parametrize(
    ("finalizers", "words"),
    [
        (["foregroundDeletion"], "metadata.finalizers has foregroundDeletion"),
        ([f"a/{number}" for number in range(7)], "has a/0, a/1, a/2, a/3, a/4 and 2 more"),
        (["x" * 5000], "has " + "x" * 100),
        (None, "has nothing"),
    ],
)
@pytest.mark.parametrize("takes_work", [True, False])
def test_a_service_that_is_being_deleted_says_what_holds_it(
    finalizers: list[str] | None, words: str, takes_work: bool
) -> None:
    body = {"metadata": {"deletionTimestamp": "2026-11-30T02:00:00Z", "finalizers": finalizers}}
    before = status_of(view(pod(ready=True)), ScalingView(), {}, NOW)

    halt = Diagnosis("Deleting", deleting_message(body))
    now = halted_status(before, 2, halt, (pod(ready=takes_work),), NOW)

    said = {each["type"]: each for each in now["conditions"]}
    assert said["Reconciled"]["message"].endswith(words)
    assert (said["Ready"]["status"], said["Ready"]["reason"]) == (str(takes_work), "Deleting")


def test_a_status_of_another_version_is_no_reason_to_fail() -> None:
    foreign = {"scaling": {"memory": {"v": 0}}}

    halted = halted_status(foreign, 2, Diagnosis("InvalidSpec", "spec.image: not set"), (), NOW)

    assert scaling_before(foreign) == scaling_before({}) == ScalingView()
    said = {each["type"]: each["reason"] for each in halted["conditions"]}
    assert said == {"Ready": "InvalidSpec", "Progressing": "InvalidSpec", "Reconciled": "InvalidSpec"}
