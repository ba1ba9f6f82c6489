"""What the operator says of a service's budgets and of the error budgets of its objectives."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.fake_kubelet import FakeKubelet
from controlplane.manifests import service
from controlplane.operators import Operators
from controlplane.story import Story
from lgs_operator.kube.kinds import SERVICE_OF_OURS
from support.waiting import until

pytestmark = pytest.mark.controlplane
OF_ONE: dict[str, Any] = {"scaling": {"mode": "Manual"}, "replicas": 1}
HOUR = "tokens-per-hour"


async def test_a_budget_that_is_used_up_and_renewed_is_a_condition_and_an_event(
    story: Story, operators: Operators
) -> None:
    async with FakeKubelet(story.cluster, story.namespace) as pods:
        pods.load.left = {HOUR: 10}
        await operators.start()
        story.apply(service(**OF_ONE, budgets={"limits": [{"tokens": 1000, "per": "Hour"}]}))
        await story.has_condition("WithinBudget", "True", "BudgetLeft")

        pods.load.left = {HOUR: 0}
        told = await story.has_condition("WithinBudget", "False", "BudgetUsedUp")
        assert told["message"].startswith(f"used up: {HOUR}: new runs are answered 429")
        await story.event("BudgetUsedUp", f"budget {HOUR} is used up")

        pods.load.left = {HOUR: 1}
        await story.has_condition("WithinBudget", "True", "BudgetLeft")
        await story.event("BudgetRenewed", f"budget {HOUR}: something is left")


async def test_an_error_budget_that_goes_is_in_the_status_and_the_next_operator_goes_on_with_it(
    story: Story, operators: Operators
) -> None:
    async with FakeKubelet(story.cluster, story.namespace) as pods:
        operator = await operators.start()
        pods.load.failing = {"1": 0.5}
        story.apply(service(**OF_ONE, observability={"slo": {"availability": 0.9}}))
        await story.has_condition("Alerting", "False", "NoneFiring")
        pods.load.serves(per_second=5, run_seconds=0.1, waiting=0)

        async def kept() -> dict[str, Any]:
            status = (await story.get(SERVICE_OF_OURS)).get("status", {})
            return status.get("slo") or {}

        async def overspent() -> dict[str, Any] | None:
            found = await kept()
            return found if found.get("budgetLeft", "").startswith("-") else None

        await until(overspent)
        await story.has_condition("Alerting", "True", "AlertsFiring")
        await story.event("AlertFiring", "LGSAvailabilityBudgetBurnsSlowly")
        pods.load.idle()
        await operators.kill(operator)
        runs = (await kept())["objectives"][0]["runs"]
        assert runs > 0

        pods.load.failing = {}
        await operators.start()
        pods.load.serves(per_second=5, run_seconds=0.1, waiting=0)

        async def counted() -> bool:
            return (await kept())["objectives"][0]["runs"] > runs

        await until(counted)
