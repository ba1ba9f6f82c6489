"""What nobody owns any more becomes a service's own only if the service stays."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import AsyncMock, MagicMock

import pytest

from lgs_operator.context import Context
from lgs_operator.kube.kinds import DEPLOYMENT, Manifest, ServiceKey, key_of
from lgs_operator.naming import labels
from lgs_operator.plan_writer import PlanWriter
from lgs_operator.reconcile_plan import Plan, plan

SUPPORT = ServiceKey("team", "support")
OURS = {"apiVersion": "lgs.dev/v1alpha1", "kind": "LangGraphService", "name": "support", "controller": True}


def deployment(*owners: dict[str, Any]) -> Manifest:
    metadata: dict[str, Any] = {"name": "support", "namespace": "team"}
    metadata |= {"labels": labels("support", "runtime")}
    metadata |= {"ownerReferences": list(owners)} if owners else {}
    return {
        "apiVersion": DEPLOYMENT.api_version,
        "kind": DEPLOYMENT.name,
        "metadata": metadata,
        "spec": {"replicas": 1},
    }


@pytest.mark.parametrize(
    ("found", "is_written"),
    [
        ({"uid": "u1"}, True),
        ({"uid": "u1", "deletionTimestamp": "2026-11-30T12:00:00Z"}, False),
        ({"uid": "u2"}, False),
        (None, False),
    ],
    ids=["stays", "is being deleted", "was made anew", "is gone"],
)
async def test_what_was_let_go_is_taken_back_only_by_a_service_that_stays(
    found: dict[str, Any] | None, is_written: bool
) -> None:
    """`kubectl delete --cascade=orphan` lets the objects go; that the service goes may be seen later."""
    let_go = deployment()
    cluster = MagicMock(
        apply=AsyncMock(side_effect=lambda each, **_: each),
        get=AsyncMock(return_value=let_go),
        found=AsyncMock(return_value=found and {"metadata": found}),
    )
    live = {key_of(let_go): let_go}
    state = MagicMock(owned=lambda _: live)
    context = SimpleNamespace(cluster=cluster, state=state, recorder=AsyncMock(), metrics=MagicMock())
    todo = plan([deployment(OURS | {"uid": "u1"})], live, uid="u1", first_replicas=1)

    refused = await PlanWriter(cast(Context, context)).write(SUPPORT, "u1", todo)

    assert todo.applies, "it is not as it should be"
    assert cluster.apply.called == is_written
    assert refused == (
        None if is_written else "Deployment support is left to itself: the service is being deleted"
    )


def left(name: str = "support-canary", *owners: dict[str, Any]) -> Manifest:
    """Replicas that a service of the name had beside those that it wants."""
    found = deployment(*owners)
    return found | {"metadata": found["metadata"] | {"name": name, "uid": "d1"}}


def test_replicas_that_an_earlier_service_left_beside_those_that_are_wanted_go() -> None:
    wanted = [deployment(OURS | {"uid": "u2"})]

    def gone(*there: Manifest) -> list[str]:
        todo = plan(wanted, {key_of(each): each for each in there}, uid="u2", first_replicas=1)
        return [each["metadata"]["name"] for each in todo.deletes]

    assert gone(left(), left("support-api")) == ["support-canary", "support-api"]
    assert gone(left("support-pinned-7"), left("support-pinned-x")) == ["support-pinned-7"]
    assert gone(left("support-copy"), left("support-redis")) == [], "what takes no runs stays"
    other = {"kind": "Rollout", "name": "x", "uid": "x"}
    assert gone(left("support-canary", other), left("support-api", OURS | {"uid": "u1"})) == []


@pytest.mark.parametrize(("uid", "is_deleted"), [("u2", True), ("u3", False)], ids=["stays", "is gone"])
async def test_replicas_that_were_let_go_just_now_are_not_deleted(uid: str, is_deleted: bool) -> None:
    cluster = MagicMock(found=AsyncMock(return_value={"metadata": {"uid": uid}}), delete=AsyncMock())
    state = MagicMock(owned=lambda _: {})
    context = SimpleNamespace(cluster=cluster, state=state, recorder=AsyncMock(), metrics=MagicMock())

    refused = await PlanWriter(cast(Context, context)).write(SUPPORT, "u2", Plan(deletes=(left(),)))

    assert cluster.delete.called == is_deleted
    assert (refused is None) == is_deleted
