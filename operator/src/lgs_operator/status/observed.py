"""What was seen of a service, from which its status is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lgs_crds import LangGraphService
from lgs_crds.status import DatabaseStatus
from lgs_operator.kube.kinds import Manifest
from lgs_operator.kube.pods import is_ready
from lgs_operator.kube.referenced import MissingReference
from lgs_operator.status.backup import BackupView
from lgs_operator.status.diagnosis import Diagnosis
from lgs_operator.status.restore import RestoreView

Reports = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class ObservedService:
    """What was seen of a service. `reports` are the `checks` of `/ready` of pods that don't take work."""

    service: LangGraphService
    deployment: Manifest | None = None
    pods: tuple[Manifest, ...] = ()
    postgres: Manifest | None = None
    postgres_pods: tuple[Manifest, ...] = ()
    postgres_refused: str | None = None
    redis: Manifest | None = None
    redis_pods: tuple[Manifest, ...] = ()
    missing: tuple[MissingReference, ...] = ()
    refused: str | None = None
    reports: Reports = field(default_factory=dict)
    unmet: Diagnosis | None = None
    """What of the manifest could not be had while the service goes on."""
    database: DatabaseStatus | None = None
    backup: BackupView | None = None
    restore: RestoreView = field(default_factory=RestoreView)
    cluster: Diagnosis | None = None
    """What keeps the database of CloudNativePG, where the service waits."""

    @property
    def ready(self) -> int:
        """Replicas that take work."""
        return sum(1 for pod in self.pods if is_ready(pod))

    @property
    def desired(self) -> int:
        """Replicas that are wanted now."""
        return int((self.deployment or {}).get("spec", {}).get("replicas", 0))
