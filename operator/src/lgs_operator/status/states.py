"""What this operator keeps of each service besides the record in the cluster: its parsed manifest, what was
observed at the last reconciliation, and the autoscaler's last decision. Kept in memory only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lgs_crds import LangGraphService
from lgs_operator.kube.kinds import ServiceKey
from lgs_operator.status.observed import ObservedService
from lgs_operator.status.scaling import ScalingView


@dataclass
class ServiceState:
    """What is kept of one service. `manifest` is None while it is not worked on: it is paused, being deleted,
    or has a spec that can't work."""

    manifest: LangGraphService | None = None
    observed: ObservedService | None = None
    scaling: ScalingView | None = None
    uid: str | None = None
    """The uid of the service that was last worked on."""


class ServiceStates:
    """One state for each service, from when it is first seen until it is gone."""

    def __init__(self) -> None:
        self._states: dict[ServiceKey, ServiceState] = {}

    def of(self, key: ServiceKey) -> ServiceState:
        """The state of a service, to read and write."""
        return self._states.setdefault(key, ServiceState())

    def seen(self, key: ServiceKey) -> ServiceState:
        """The state of a service, to read only; this does not remember a service that is gone."""
        return self._states.get(key) or ServiceState()

    def manifests(self) -> Mapping[ServiceKey, LangGraphService]:
        """The services that are worked on."""
        known = ((key, state.manifest) for key, state in self._states.items())
        return {key: manifest for key, manifest in known if manifest is not None}

    def work_on(self, key: ServiceKey, service: LangGraphService) -> None:
        """Sets the present manifest of a service. Nothing is kept of an earlier service of the same name."""
        state = self.of(key)
        if state.uid not in (None, service.metadata.uid):
            state = self._states[key] = ServiceState()
        state.manifest, state.uid = service, service.metadata.uid

    def halt(self, key: ServiceKey) -> None:
        """Stops work on the service until it is reconciled again; what the autoscaler said stands."""
        state = self.of(key)
        state.manifest = state.observed = None

    def forget(self, key: ServiceKey) -> None:
        """Forgets a service that is gone."""
        self._states.pop(key, None)
