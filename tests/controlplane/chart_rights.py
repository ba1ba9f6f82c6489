"""An operator that has the chart's rights in one namespace, which are taken away and given back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from controlplane.chart import rendered
from controlplane.operators import Operators, Running
from controlplane.story import Story


class ChartRights:
    """The chart's roles in the story's namespace."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self.chart = rendered("crds.install=false", namespace=story.namespace)

    def give(self) -> None:
        """All that the chart gives."""
        self._story.plane.run("apply", "-f", "-", stdin=self.chart)

    def take(self, resources: str) -> None:
        """All but the rule for these resources, as the chart writes them."""
        parts = [each for each in self.chart.split("\n---\n") if each.strip()]
        (role,) = (each for each in parts if "kind: Role\n" in each and f"[{resources}]" in each)
        self._story.plane.run("apply", "-f", "-", stdin=role.replace(f"[{resources}]", "[nothing]"))


@asynccontextmanager
async def with_rights(
    story: Story, operators: Operators, folder: Path, *, without: str | None = None
) -> AsyncIterator[tuple[Running, ChartRights]]:
    """An operator that runs with them, from the beginning `without` those to some resources."""
    plane, namespace, rights = story.plane, story.namespace, ChartRights(story)
    rights.give()
    if without is not None:
        rights.take(without)
    plane.run("delete", "lease", "lgs-operator", "-n", namespace)
    token = plane.run("create", "token", "lgs-operator", "-n", namespace).strip()
    operator = await operators.start(
        kubeconfig=plane.kubeconfig_for(token, folder / "operator.conf"),
        env={"LGS_OPERATOR_LEASE": "lgs-operator"},
    )
    try:
        yield operator, rights
    finally:
        plane.run("delete", "-f", "-", "--wait=false", stdin=rights.chart)
