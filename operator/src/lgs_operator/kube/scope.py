"""Which services are this operator's: those of its class, in its namespaces. A cluster-wide operator leaves
out a namespace for which an installation of its own has claimed the class; an operator of several namespaces
leaves out those that another one has claimed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lgs_crds import DEFAULT_OPERATOR_CLASS
from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.informer import Informer
from lgs_operator.kube.kinds import LEASE, Manifest
from lgs_operator.naming import CLASS_LABEL, class_claim
from lgs_operator.settings import Settings


class OperatorScope:
    """`changed` is called with a namespace that was claimed or freed; `covers` says whether our own claim
    holds in one."""

    def __init__(
        self, cluster: KubeClient, settings: Settings, covers: Callable[[str], bool] = lambda _: True
    ) -> None:
        self._covers = covers
        self.changed: Callable[[str], None] = lambda _: None
        self._class = settings.operator_class
        self._installation = settings.installation
        self.informers: tuple[Informer, ...] = ()
        if not settings.namespaces:
            self.informers = (self._claims_of_namespaces(cluster),)

    def serves(self, body: Mapping[str, Any]) -> bool:
        """Whether a service is this operator's."""
        wanted = (body.get("spec") or {}).get("operatorClass") or DEFAULT_OPERATOR_CLASS
        namespace = body["metadata"]["namespace"]
        return bool(wanted == self._class) and self._covers(namespace) and not self._has_operator(namespace)

    def _has_operator(self, namespace: str) -> bool:
        claims = (each for informer in self.informers for each in informer.of(namespace, self._class))
        holders = {each.get("spec", {}).get("holderIdentity") for each in claims}
        return bool(holders - {None, "", self._installation})

    def _claims_of_namespaces(self, cluster: KubeClient) -> Informer:
        # By name, so that the right to read is limited to these.
        name = class_claim(self._class, cluster_wide=False)
        return Informer(
            cluster,
            LEASE,
            namespace=None,
            labels=None,
            fields=f"metadata.name={name}",
            group_label=CLASS_LABEL,
            changed=self._claim_changed,
        )

    def _claim_changed(self, claim: Manifest) -> None:
        self.changed(claim["metadata"]["namespace"])
