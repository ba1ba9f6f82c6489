"""When a service is reconciled again though nothing of it changes, and what is left alone until then."""

from __future__ import annotations

from typing import Any

import pytest

from lgs_crds.model.backup import Backup
from lgs_crds.reasons import Reason
from lgs_crds.status import RestoreStatus
from lgs_operator.desired.inputs import Inputs
from lgs_operator.handover import held
from lgs_operator.kube.kinds import CONFIG_MAP, DEPLOYMENT, JOB, SECRET, Key, Manifest, ServiceKey
from lgs_operator.kube.referenced import MissingReference, Reference
from lgs_operator.outcome import (
    LATER_SECONDS,
    RETRY_REFUSED_SECONDS,
    UNSETTLED_SECONDS,
    Outcome,
    seconds_until_again,
)
from lgs_operator.settings import Images
from lgs_operator.status.backup import BackupView
from lgs_operator.status.diagnosis import Diagnosis
from lgs_operator.status.monitoring import MonitoringView
from lgs_operator.status.observed import ObservedService
from lgs_operator.status.restore import RestoreView
from support.desired import service

KEY = ServiceKey("team", "support")
BOTH = {Key(DEPLOYMENT, "team", "support"), Key(DEPLOYMENT, "team", "support-api")}
NO_SECRET: Reason = "SecretNotFound"


def missing(reason: Reason) -> tuple[MissingReference, ...]:
    return (MissingReference(reason, "not there", Reference(CONFIG_MAP, "code", "spec.source.configMap")),)


def observed(*, ready: int = 1, backup: BackupView | None = None) -> ObservedService:
    """A service of one replica, of which so many take work."""
    pod = {"metadata": {"name": "one"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    return ObservedService(service(), {"spec": {"replicas": 1}}, (pod,) * ready, backup=backup)


@pytest.mark.parametrize(
    ("happened", "seconds"),
    [
        ({}, None),
        ({"later": True}, LATER_SECONDS),
        ({"missing": missing(NO_SECRET)}, UNSETTLED_SECONDS),
        ({"missing": missing("SourceNotCopied")}, RETRY_REFUSED_SECONDS),
        ({"restore": RestoreView(waits=True)}, UNSETTLED_SECONDS),
        ({"awaited": Diagnosis("ClusterNotReady", "no primary")}, UNSETTLED_SECONDS),
        ({"refused": "Deployment support: forbidden"}, RETRY_REFUSED_SECONDS),
        ({"unmet": Diagnosis("VolumeNotExpandable", "no expansion")}, RETRY_REFUSED_SECONDS),
        ({"monitoring": MonitoringView(lacking=Diagnosis("Refused", "a quota"))}, RETRY_REFUSED_SECONDS),
        ({"monitoring": MonitoringView(there=("PodMonitor",))}, None),
        ({"again": 7.0}, 7.0),
        ({"again": 0.0, "later": True}, 0.0),
        ({"again": 7.0, "refused": "no"}, RETRY_REFUSED_SECONDS),
    ],
)
def test_a_settled_service_is_looked_at_again_for_what_nothing_tells_the_end_of(
    happened: dict[str, Any], seconds: float | None
) -> None:
    outcome = Outcome(**({"missing": ()} | happened))

    assert seconds_until_again(outcome, observed()) == seconds


def test_a_service_that_is_not_as_it_is_wanted_is_looked_at_soon() -> None:
    assert seconds_until_again(Outcome(()), observed(ready=0)) == UNSETTLED_SECONDS


def test_a_service_with_backups_is_looked_at_when_one_may_be_due() -> None:
    assert (
        seconds_until_again(Outcome(()), observed(backup=BackupView(Backup(schedule="0 3 * * *"))))
        == LATER_SECONDS
    )


def holds(*live: Key, redis: bool = False, pods: tuple[Manifest, ...] = (), **happened: Any) -> set[Key]:
    """What is left alone of a service whose topology stays as it is."""
    spec = {"cache": {"redis": {"managed": {}}}} if redis else {}
    inputs = Inputs(service(**spec), Images(), "abc", None, "", "lgs-system")
    usual: dict[str, Any] = {"lacking": False, "paused": False, "restore": RestoreView()}
    return set(held(KEY, inputs, {each: {} for each in live}, pods, (), **(usual | happened)))


@pytest.mark.parametrize(
    "happened", [{"lacking": True}, {"paused": True}, {"restore": RestoreView(waits=True)}]
)
def test_replicas_are_not_made_anew_while_new_ones_could_not_start(happened: dict[str, Any]) -> None:
    assert holds() == set()
    assert holds(**happened) == BOTH


def test_the_job_of_a_restore_stays_for_its_log_once_it_is_over() -> None:
    job, over = Key(JOB, "team", "support-restore"), RestoreView(result=RestoreStatus(result="Restored"))

    assert holds(job) == set()
    assert holds(job, restore=over) == {job}


def test_a_managed_redis_that_is_not_wanted_any_more_stays_while_a_replica_has_it() -> None:
    reads = {"secretKeyRef": {"name": "support-redis", "key": "uri"}}
    pod = {
        "spec": {"containers": [{"env": [{"name": "REDIS_URI", "valueFrom": reads}]}]},
        "status": {"phase": "Running"},
    }

    assert Key(SECRET, "team", "support-redis") in holds(pods=(pod,))
    assert holds(pods=(pod,), redis=True) == set(), "what is wanted is written as ever"
