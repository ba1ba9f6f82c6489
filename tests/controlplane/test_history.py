"""What an operator keeps of a service that it scales, and tells who asks it on its own machine."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.fake_kubelet import FakeKubelet
from controlplane.manifests import service
from controlplane.operators import Operators
from controlplane.story import Story
from support.waiting import until

pytestmark = pytest.mark.controlplane
ALERTS = {"rules": [{"name": "Busy", "metric": "queueDepth", "operator": "gt", "threshold": 10}]}


async def test_a_spike_its_decisions_and_its_alert_are_kept_and_a_service_that_goes_takes_them_along(
    story: Story, operators: Operators
) -> None:
    operator = await operators.start()
    scaling = {"minReplicas": 1, "maxReplicas": 3, "scaleDown": {"holdSeconds": 0}}
    database = {"postgres": {"uriSecret": {"name": "db"}}}
    story.plane.run(
        "create", "secret", "generic", "db", "-n", story.namespace, "--from-literal=uri=postgres://db/x"
    )
    story.apply(
        service(
            persistence=database,
            scaling=scaling,
            workers={"concurrency": 10},
            observability={"alerts": ALERTS},
        )
    )
    known: dict[str, Any] = {}

    async def has(kind: str, word: str) -> bool:
        nonlocal known
        known = await operator.history(f"services/{story.namespace}/support/history?span=900")
        said = [each.get("code") or each.get("told") for each in known.get(kind, ())]
        return word in said

    async with FakeKubelet(story.cluster, story.namespace) as pods:
        pods.load.serves(per_second=30, run_seconds=1, waiting=60)
        await until(lambda: has("decisions", "ScaledOut"), lambda: f"no ScaledOut: {known}")
        await until(lambda: has("alerts", "firing"), lambda: f"nothing fires: {known}")

        async def measured() -> bool:
            await has("decisions", "")
            return 3.0 in known["values"]["ready"] and 60.0 in known["values"]["queueNormal"]

        await until(measured, lambda: f"not measured: {known}")
        first = next(each for each in known["decisions"] if each["code"] == "ScaledOut")
        assert first["replicas"] > 1
        assert "wait" in first["reason"]
        (one,) = (await operator.history("services"))["services"]
        assert (one["namespace"], one["name"]) == (story.namespace, "support")

        story.plane.run("delete", "lgs", "support", "-n", story.namespace)

        async def forgotten() -> bool:
            return (await operator.history("services"))["services"] == []

        await until(forgotten, "its history stays")
    assert await operator.metric("lgs_operator_internal_errors_total") == 0
