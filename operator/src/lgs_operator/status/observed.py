"""What was seen of a service, from which its status is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lgs_crds import LangGraphService
from lgs_crds.status import DatabaseStatus
from lgs_operator.kube.kinds import Manifest
from lgs_operator.kube.pods import is_ready
from lgs_operator.kube.referenced import MissingReference
from lgs_operator.naming import Component
from lgs_operator.status.backup import BackupView
from lgs_operator.status.diagnosis import Diagnosis, Told
from lgs_operator.status.exposure import ExposureView
from lgs_operator.status.monitoring import MonitoringView
from lgs_operator.status.restore import RestoreView

Reports = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class ObservedService:
    """What was seen of a service. `reports` are the `checks` of `/ready` of pods that don't take work."""

    service: LangGraphService
    deployment: Manifest | None = None
    pods: tuple[Manifest, ...] = ()
    """Those that execute runs; with topology Combined they answer requests, too."""
    api_deployment: Manifest | None = None
    api_pods: tuple[Manifest, ...] = ()
    """Those that answer requests and do nothing else, with topology Split."""
    revisions: tuple[Manifest, ...] = ()
    """Those that are kept."""
    taken_back: int | None = None
    """The revision that the manifest asks for, which failed and is not run."""
    canary: int | None = None
    """The revision that the manifest asks for, which runs beside that of `deployment`."""
    released: int | None = None
    """The one that the pods of `deployment` are to run; None where that is not known."""
    stock_waits: str | None = None
    """Why its replicas do not go over to another stock image yet."""
    canary_deployment: Manifest | None = None
    canary_pods: tuple[Manifest, ...] = ()
    leads_to_api: bool = False
    """Requests come to these; not yet, or still, while the topology changes."""
    part: Component = "runtime"
    """Of which replicas `deployment` and `pods` are."""
    postgres: Manifest | None = None
    postgres_pods: tuple[Manifest, ...] = ()
    postgres_refused: str | None = None
    redis: Manifest | None = None
    redis_pods: tuple[Manifest, ...] = ()
    missing: tuple[MissingReference, ...] = ()
    refused: str | None = None
    reports: Reports = field(default_factory=dict)
    told: Told = field(default_factory=dict)
    """What keeps nodes from the containers of pods."""
    unmet: Diagnosis | None = None
    """What of the manifest could not be had while the service goes on."""
    database: DatabaseStatus | None = None
    backup: BackupView | None = None
    restore: RestoreView = field(default_factory=RestoreView)
    monitoring: MonitoringView | None = None
    """What watches it; None: that was not looked at, and is as it was told last."""
    exposure: ExposureView | None = None
    """What leads clients outside of the cluster to it; None likewise."""
    cluster: Diagnosis | None = None
    """What keeps the database of CloudNativePG, where the service waits."""
    awaited: Diagnosis | None = None
    """What of that Cluster pods wait for that are to be made."""

    @property
    def split(self) -> bool:
        """Replicas that answer requests are to stand apart from those that execute runs."""
        return self.service.spec.topology == "Split"

    @property
    def api(self) -> ObservedService:
        """The same service with its replicas that answer requests alone."""
        return replace(self, part="api", deployment=self.api_deployment, pods=self.api_pods)

    @property
    def beside(self) -> ObservedService:
        """The same service with the replicas of its canary alone."""
        names = {pod["metadata"]["name"] for pod in self.canary_pods}
        reports = {name: each for name, each in self.reports.items() if name in names}
        return replace(self, deployment=self.canary_deployment, pods=self.canary_pods, reports=reports)

    @property
    def answering(self) -> ObservedService:
        """The same service with the replicas that requests come to."""
        return self.api if self.leads_to_api else self

    @property
    def all_pods(self) -> tuple[Manifest, ...]:
        """All replicas."""
        return (*self.pods, *self.canary_pods, *self.api_pods)

    @property
    def settled(self) -> bool:
        """As many replicas take work as are wanted, and requests come to those that are to answer them."""
        is_enough = self.ready >= self.desired and (not self.split or self.api.ready >= self.api.desired)
        return is_enough and self.split == self.leads_to_api

    @property
    def ready(self) -> int:
        """Replicas that take work."""
        return sum(1 for pod in self.pods if is_ready(pod))

    @property
    def desired(self) -> int:
        """Replicas that are wanted now."""
        return int((self.deployment or {}).get("spec", {}).get("replicas", 0))
