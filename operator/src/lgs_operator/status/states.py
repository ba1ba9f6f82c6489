"""What this operator keeps of each service beside the cluster's own record: its manifest as it was parsed,
what was observed when it was reconciled last, and the last decision of the autoscaler. Kept in memory only.
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
    """`manifest` is None while the service is not worked on: paused, or with a spec that can't work."""

    manifest: LangGraphService | None = None
    observed: ObservedService | None = None
    scaling: ScalingView | None = None
    uid: str | None = None
    """Of the service that was worked on last."""


class ServiceStates:
    """One state a service, from when it is seen until it is gone."""

    def __init__(self) -> None:
        self._states: dict[ServiceKey, ServiceState] = {}

    def of(self, key: ServiceKey) -> ServiceState:
        """The state of a service, to be read and written."""
        return self._states.setdefault(key, ServiceState())

    def seen(self, key: ServiceKey) -> ServiceState:
        """The state of a service, to be read; one that is gone is not remembered for that."""
        return self._states.get(key) or ServiceState()

    def manifests(self) -> Mapping[ServiceKey, LangGraphService]:
        """The services that are worked on."""
        known = ((key, state.manifest) for key, state in self._states.items())
        return {key: manifest for key, manifest in known if manifest is not None}

    def work_on(self, key: ServiceKey, service: LangGraphService) -> None:
        """This is its manifest now. Of another service that had its name before nothing stands."""
        state = self.of(key)
        if state.uid not in (None, service.metadata.uid):
            state = self._states[key] = ServiceState()
        state.manifest, state.uid = service, service.metadata.uid

    def halt(self, key: ServiceKey) -> None:
        """The service is not worked on until it is reconciled again; what the autoscaler said stands."""
        state = self.of(key)
        state.manifest = state.observed = None

    def forget(self, key: ServiceKey) -> None:
        """The service is gone."""
        self._states.pop(key, None)
