"""What others change back each time that it was repaired is repaired ever more seldom."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import AsyncMock, MagicMock

from lgs_operator.contests import AT_ONCE, QUIET_SECONDS, Contests, contested
from lgs_operator.context import Context
from lgs_operator.kube.kinds import DEPLOYMENT, JOB, NETWORK_POLICY, SERVICE, Key, Kind, Manifest, ServiceKey
from lgs_operator.naming import labels
from lgs_operator.plan_writer import PlanWriter
from lgs_operator.reconcile_plan import Plan, plan

KEY = Key(DEPLOYMENT, "team", "support")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def repairs(contests: Contests, clock: Clock, seconds: int, key: Key = KEY) -> list[int]:
    """When it is written where it is changed back, or deleted, at once each time; looked at each second."""
    done = []
    for second in range(seconds):
        if not contests.waits(key, "a"):
            contests.written(key, "a")
            done.append(second)
        clock.now += 1.0
    return done


def test_the_first_repairs_are_at_once_and_the_later_ones_ever_more_seldom() -> None:
    clock = Clock()

    done = repairs(Contests(clock), clock, 600)

    assert done[: AT_ONCE + 1] == [*range(AT_ONCE + 1)]
    pauses = [later - earlier for earlier, later in zip(done[AT_ONCE:], done[AT_ONCE + 1 :], strict=False)]
    assert pauses[0] <= 7
    assert sorted(pauses[:4]) == pauses[:4]
    assert all(50 <= each <= 67 for each in pauses[4:])


def test_what_guards_pods_is_never_away_for_long() -> None:
    clock = Clock()

    done = repairs(Contests(clock), clock, 600, Key(NETWORK_POLICY, "team", "support"))

    assert max(later - earlier for earlier, later in pairwise(done)) <= 6


def test_who_leaves_it_alone_is_answered_at_once_the_next_time() -> None:
    clock = Clock()
    contests = Contests(clock)
    repairs(contests, clock, 60)
    assert contests.waits(KEY, "a")

    clock.now += QUIET_SECONDS + 61

    assert repairs(contests, clock, AT_ONCE) == [*range(AT_ONCE)]


def test_what_the_manifest_says_anew_and_other_objects_are_not_concerned() -> None:
    clock = Clock()
    contests = Contests(clock)
    repairs(contests, clock, 10)
    assert contests.waits(KEY, "a")

    assert not contests.waits(KEY, "another")
    assert not contests.waits(Key(SERVICE, "team", "support"), "a")
    assert not contests.waits(Key(DEPLOYMENT, "other", "support"), "a")
    contests.deleted(KEY)
    assert not contests.waits(KEY, "a"), "the operator itself deleted it"


def test_what_goes_by_itself_or_can_not_be_compared_is_contested_by_nobody() -> None:
    clock, job = Clock(), Key(JOB, "team", "support-restore")
    contests = Contests(clock)

    assert len(repairs(contests, clock, 60, job)) == 60
    for _ in range(10):
        contests.written(KEY, None)
    assert not contests.waits(KEY, None)


def entry(manager: str, time: str, **more: Any) -> dict[str, Any]:
    return {"manager": manager, "time": time, "operation": "Update"} | more


def test_it_is_said_who_wrote_to_it_last() -> None:
    managed = [
        entry("lgs-operator", "2026-11-30T09:00:00Z"),
        entry("kyverno", "2026-11-30T08:00:00Z"),
        entry("argocd-controller", "2026-11-30T07:00:00Z"),
        entry("kube-controller-manager", "2026-11-30T09:00:00Z", subresource="status"),
        {"operation": "Update"},
    ]
    deployment = {"kind": "Deployment", "metadata": {"name": "support", "managedFields": managed}}
    service = {"kind": "Service", "metadata": {"name": "other"}}

    said = contested([deployment, service])

    assert "Deployment support (last by kyverno), Service other;" in said


async def test_no_pod_is_made_while_what_guards_it_was_deleted_and_waits() -> None:
    cluster = MagicMock(apply=AsyncMock(side_effect=lambda each, **_: each), get=AsyncMock(return_value=None))
    state = MagicMock(owned=lambda _: {})
    context = SimpleNamespace(cluster=cluster, state=state, recorder=AsyncMock(), metrics=MagicMock())
    writer = PlanWriter(cast(Context, context))

    def made(kind: Kind, **spec: Any) -> Manifest:
        metadata = {"name": "support", "namespace": "team", "labels": labels("support", "runtime")}
        return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, "spec": spec}

    def todo(release: int) -> Plan:
        wanted = [made(NETWORK_POLICY), made(DEPLOYMENT, template={"release": release})]
        return plan(wanted, {}, uid="u1", first_replicas=1)

    for release in range(AT_ONCE + 1):
        await writer.write(ServiceKey("team", "support"), "u1", todo(release))
    cluster.apply.reset_mock()

    await writer.write(ServiceKey("team", "support"), "u1", todo(AT_ONCE + 1))

    assert not cluster.apply.called
