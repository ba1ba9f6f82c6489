"""Which services are this operator's: those of its class, in its namespaces. A cluster-wide operator leaves
out a namespace whose own installation has claimed the class, until nobody renews that claim any more. An
operator of several namespaces leaves out those that another installation has claimed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from lgs_crds import DEFAULT_OPERATOR_CLASS
from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.informer import Informer
from lgs_operator.kube.kinds import LEASE, Manifest
from lgs_operator.naming import CLASS_LABEL, class_claim
from lgs_operator.settings import Settings

log = structlog.get_logger(__name__)


class OperatorScope:
    """Decides whose a service is. `changed` is called with a namespace that was claimed or freed; `covers`
    says whether our own claim holds in a namespace."""

    def __init__(
        self, cluster: KubeClient, settings: Settings, covers: Callable[[str], bool] = lambda _: True
    ) -> None:
        self._covers = covers
        self.changed: Callable[[str], None] = lambda _: None
        self._class = settings.operator_class
        self._installation = settings.installation
        self._claim_seconds = settings.claim_seconds
        self._claims: dict[str, tuple[Manifest, float]] = {}
        """The claims of namespaces, each with the time when it was last seen to change."""
        self._lapsed: set[str] = set()
        self.informers: tuple[Informer, ...] = ()
        if not settings.namespaces:
            self.informers = (self._claims_of_namespaces(cluster),)

    def serves(self, body: Mapping[str, Any]) -> bool:
        """Whether a service is this operator's."""
        wanted = (body.get("spec") or {}).get("operatorClass") or DEFAULT_OPERATOR_CLASS
        namespace = body["metadata"]["namespace"]
        return bool(wanted == self._class) and self._covers(namespace) and not self._has_operator(namespace)

    async def run(self) -> None:
        """Notices claims that nobody has renewed for as long as they say, until cancelled."""
        while self.informers:
            await asyncio.sleep(self._claim_seconds / 10)
            for namespace, (claim, since) in list(self._claims.items()):
                if namespace not in self._lapsed and self._is_over(claim, since):
                    log.warning("namespace.claim_lapsed", namespace=namespace, holder=_holder(claim))
                    self._lapsed.add(namespace)
                    self.changed(namespace)

    def _is_over(self, claim: Manifest, since: float) -> bool:
        """Whether the claim has lapsed. Only time in which a renewal would have been seen counts: an
        installation that can't reach the API server renews nothing, but has not given up because of that."""
        seconds = float(claim.get("spec", {}).get("leaseDurationSeconds") or self._claim_seconds)
        followed = [each.followed_since for each in self.informers]
        begun = [each for each in followed if each is not None]
        return len(begun) == len(followed) and _now() - max(since, *begun) > seconds

    def _has_operator(self, namespace: str) -> bool:
        if namespace in self._lapsed:
            return False
        claims = (each for informer in self.informers for each in informer.of(namespace, self._class))
        return bool({_holder(each) for each in claims} - {"", self._installation})

    def _claims_of_namespaces(self, cluster: KubeClient) -> Informer:
        # By name, so that the right to read can be limited to these Leases.
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
        namespace, version = claim["metadata"]["namespace"], claim["metadata"]["resourceVersion"]
        before, _ = self._claims.get(namespace, (None, 0.0))
        if not any(each.of(namespace, self._class) for each in self.informers):
            self._claims.pop(namespace, None)
            self._lapsed.discard(namespace)
        elif before is None or before["metadata"]["resourceVersion"] != version:
            self._claims[namespace] = (claim, _now())
            self._lapsed.discard(namespace)
        self.changed(namespace)


def _holder(claim: Manifest) -> str:
    return claim.get("spec", {}).get("holderIdentity") or ""


def _now() -> float:
    return asyncio.get_running_loop().time()
