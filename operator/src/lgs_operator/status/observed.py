"""What was observed of a service, from which its status is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lgs_crds import LangGraphService
from lgs_crds.status import DatabaseStatus
from lgs_operator.desired.revision import revision_of
from lgs_operator.kube.kinds import Manifest
from lgs_operator.kube.pods import is_ready
from lgs_operator.kube.referenced import MissingReference
from lgs_operator.naming import Component
from lgs_operator.status.backup import BackupView
from lgs_operator.status.diagnosis import Diagnosis, Told
from lgs_operator.status.exposure import ExposureView
from lgs_operator.status.monitoring import MonitoringView
from lgs_operator.status.restore import RestoreView
from lgs_operator.status.variables import Held

Reports = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class ObservedService:
    """What was observed of a service. `reports` has the `checks` of `/ready` of each pod that takes no
    work, by its name."""

    service: LangGraphService
    deployment: Manifest | None = None
    pods: tuple[Manifest, ...] = ()
    """The pods that execute runs; with topology Combined they answer requests too."""
    api_deployment: Manifest | None = None
    api_pods: tuple[Manifest, ...] = ()
    """The pods that only answer requests, with topology Split."""
    revisions: tuple[Manifest, ...] = ()
    """The revisions that are kept."""
    taken_back: int | None = None
    """The revision that the manifest asks for, which failed and is not run."""
    canary: int | None = None
    """The revision that the manifest asks for, which runs beside that of `deployment`."""
    released: int | None = None
    """The revision that the pods of `deployment` are to run; None if that is not known."""
    stock_waits: str | None = None
    """Why its replicas do not change to another stock image yet."""
    canary_deployment: Manifest | None = None
    canary_pods: tuple[Manifest, ...] = ()
    kept: Mapping[int, Manifest] = field(default_factory=dict)
    """The Deployments of old revisions that are kept for what is pinned to them, by number."""
    kept_pods: tuple[Manifest, ...] = ()
    leads_to_api: bool = False
    """Whether the Service leads to `api_pods`; while the topology changes, that may lag
    behind the manifest."""
    part: Component = "runtime"
    """Which component's replicas `deployment` and `pods` are."""
    postgres: Manifest | None = None
    postgres_pods: tuple[Manifest, ...] = ()
    postgres_refused: str | None = None
    redis: Manifest | None = None
    redis_pods: tuple[Manifest, ...] = ()
    missing: tuple[MissingReference, ...] = ()
    held: Held = field(default_factory=dict)
    """The keys of the ConfigMaps and Secrets that the manifest refers to."""
    refused: str | None = None
    reports: Reports = field(default_factory=dict)
    told: Told = field(default_factory=dict)
    """Why nodes can't start the containers of pods, by the pod's name."""
    unmet: Diagnosis | None = None
    """Which wish of the manifest could not be met, while the service goes on."""
    database: DatabaseStatus | None = None
    backup: BackupView | None = None
    restore: RestoreView = field(default_factory=RestoreView)
    monitoring: MonitoringView | None = None
    """What monitors the service; None: not observed, so the condition stays as it was reported last."""
    exposure: ExposureView | None = None
    """What leads clients outside of the cluster to the service; None: as for `monitoring`."""
    cluster: Diagnosis | None = None
    """What keeps the CloudNativePG database from working, if the service waits for it."""
    awaited: Diagnosis | None = None
    """What new pods wait for from that Cluster."""

    @property
    def split(self) -> bool:
        """Whether replicas that answer requests are to be separate from those that execute runs."""
        return self.service.spec.topology == "Split"

    @property
    def api(self) -> ObservedService:
        """The same service, seen with only its replicas that answer requests."""
        return replace(self, part="api", deployment=self.api_deployment, pods=self.api_pods)

    @property
    def beside(self) -> ObservedService:
        """The same service, seen with only the replicas of its canary."""
        return self._seen_with(self.canary_deployment, self.canary_pods)

    def of_kept(self, number: int) -> ObservedService:
        """The same service, seen with only the replicas of this kept revision."""
        pods = tuple(pod for pod in self.kept_pods if revision_of(pod) == number)
        return self._seen_with(self.kept.get(number), pods)

    def _seen_with(self, deployment: Manifest | None, pods: tuple[Manifest, ...]) -> ObservedService:
        names = {pod["metadata"]["name"] for pod in pods}
        reports = {name: each for name, each in self.reports.items() if name in names}
        return replace(self, deployment=deployment, pods=pods, reports=reports)

    @property
    def answering(self) -> ObservedService:
        """The same service, seen with the replicas that requests come to."""
        return self.api if self.leads_to_api else self

    @property
    def all_pods(self) -> tuple[Manifest, ...]:
        """All replicas."""
        return (*self.pods, *self.canary_pods, *self.kept_pods, *self.api_pods)

    @property
    def settled(self) -> bool:
        """Whether all wanted replicas take work, and requests come to those that are to answer them."""
        is_enough = self.ready >= self.desired and (not self.split or self.api.ready >= self.api.desired)
        return is_enough and self.split == self.leads_to_api

    @property
    def ready(self) -> int:
        """How many replicas take work."""
        return sum(1 for pod in self.pods if is_ready(pod))

    @property
    def desired(self) -> int:
        """How many replicas are wanted now."""
        return int((self.deployment or {}).get("spec", {}).get("replicas", 0))
