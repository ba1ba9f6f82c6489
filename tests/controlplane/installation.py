"""A cluster of its own with the chart in it, this one or that of the release before, and operators with the
rights and the settings that it gives them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from controlplane.chart import environment, helm
from controlplane.controlplane_server import binaries, control_plane
from controlplane.fake_kubelet import FakeKubelet
from controlplane.operators import Operators, Running
from controlplane.story import Story
from controlplane.waiting import patient_client
from support.previous_release import PreviousRelease, unpacked

SYSTEM, TEAM, RELEASE = "lgs-system", "team", "lgs-operator"
VALUES = ("--set", "clusterWide=true", "--set", "image.repository=example.com/operator")


@dataclass(frozen=True)
class Installation:
    """Its namespace `team` has services."""

    story: Story
    operators: Operators
    previous: PreviousRelease
    folder: Path

    @property
    def where(self) -> tuple[str, ...]:
        """The cluster and the namespace, for helm."""
        return ("--namespace", SYSTEM, "--kubeconfig", str(self.story.plane.kubeconfig))

    def install(self, chart: Path, *more: str) -> dict[str, str]:
        """Has helm install the chart, or upgrade to it; the settings that it gives the operator."""
        helm("upgrade", "--install", RELEASE, str(chart), *self.where, *VALUES, *more)
        settings = environment(helm("get", "manifest", RELEASE, *self.where))
        # the ports are the test's own, and a busy machine takes the Lease from nobody
        ours = ("_PORT", "_INTERVAL", "_LEASE_SECONDS")
        return {name: value for name, value in settings.items() if not name.endswith(ours)}

    async def start(self, settings: dict[str, str], *, leads: bool, by_command: bool = False) -> Running:
        """An operator with these settings, and with the rights of the chart that is installed. Only by its
        command it has modules that PYTHONPATH names."""
        token = self.story.plane.run("create", "token", RELEASE, "-n", SYSTEM).strip()
        kubeconfig = self.story.plane.kubeconfig_for(token, self.folder / "operator.conf")
        start = self.operators.start
        return await start(kubeconfig=kubeconfig, leads=leads, env=settings, by_command=by_command)


@asynccontextmanager
async def empty_cluster(folder: Path) -> AsyncIterator[Installation]:
    """A cluster with the two namespaces, the Secret `db`, and nodes for `team`."""
    programs = binaries()
    assert programs is not None, (
        "no kube-apiserver: set KUBEBUILDER_ASSETS, or run `tools/kubernetes/build.sh apiserver`"
    )
    async with AsyncExitStack() as stack:
        plane = stack.enter_context(control_plane(programs, folder / "plane"))
        cluster = await patient_client(plane)
        stack.push_async_callback(cluster.close)
        for each in (SYSTEM, TEAM):
            plane.run("create", "namespace", each)
        plane.run("create", "secret", "generic", "db", "-n", TEAM, "--from-literal=uri=postgres://db/x")
        operators = Operators(plane, SYSTEM, folder)
        stack.push_async_callback(operators.stop_all)
        previous = unpacked(folder / "previous")
        await stack.enter_async_context(FakeKubelet(cluster, TEAM))
        yield Installation(Story(plane, cluster, TEAM), operators, previous, folder)
