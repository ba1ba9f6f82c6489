"""Which installation of the operator serves the services of a class. A Lease names the installation: one
Lease for the cluster, or one in each namespace of an operator that serves namespaces.

An installation keeps its claim over restarts and fail-overs: another one takes it when it was not renewed for
`claim_seconds`, or is gone, as after `helm uninstall`. Until then the other one stays out and says so.

An operator of several namespaces leaves out a namespace that is gone, in which it may not write, or whose
claim another installation holds, while that lasts; the others are served without a gap. So whoever may write
Leases in one namespace, as the role `edit` may, or may take away the operator's rights there, decides nothing
for the other namespaces.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.lease import HeldLease, LostLease
from lgs_operator.naming import CLASS_LABEL, class_claim
from lgs_operator.settings import Settings

log = structlog.get_logger(__name__)


class ClassClaim:
    """Call `acquire`, then `hold` while this process acts. `on_change` is given why the operator stays out,
    None when it does not."""

    def __init__(
        self, cluster: KubeClient, settings: Settings, on_change: Callable[[str | None], None]
    ) -> None:
        self._class = settings.operator_class
        self._installation = settings.installation
        self._lease_seconds = settings.lease_seconds
        self._claim_seconds = settings.claim_seconds
        self._on_change = on_change
        name = class_claim(settings.operator_class, cluster_wide=not settings.namespaces)
        # The same order everywhere: of two operators that start with the same namespaces, one gets most of
        # them.
        self._leases = [
            HeldLease(
                cluster,
                namespace,
                name,
                identity=settings.installation,
                seconds=settings.claim_seconds,
                labels={CLASS_LABEL: settings.operator_class},
            )
            for namespace in sorted(settings.namespaces) or [settings.claim_namespace]
        ]
        self.changed: Callable[[str], None] = lambda _: None
        self._left_out: dict[str, str] = {}
        """Namespaces that can't be served now, with what the API server said."""
        self._others: dict[str, str] = {}
        """Namespaces where another installation has the class, with the message that names it."""

    def covers(self, namespace: str) -> bool:
        """Whether the class is ours in the namespace; `changed` is called with a namespace when that
        changes."""
        return namespace not in self._others and namespace not in self._left_out

    async def acquire(self) -> None:
        """Returns when the class is this installation's in at least one of its namespaces."""
        before = None
        while True:
            why = await self._take_all()
            self._on_change(why)
            if why is None:
                log.info("class.claimed", operator_class=self._class)
                for namespace, refusal in (self._left_out | self._others).items():
                    log.error("namespace.left_out", namespace=namespace, why=refusal)
                return
            if why != before:
                log.error("class.stays_out", operator_class=self._class, why=why)
            before = why
            await asyncio.sleep(self._lease_seconds / 5)

    async def hold(self) -> None:
        """Renews until cancelled. Raises `LostLease` when other installations have the class everywhere."""
        while True:
            await asyncio.sleep(self._claim_seconds / 10)
            for lease in self._leases:
                try:
                    held = await self._holds(lease)
                except KubeError as error:
                    if error.lasting and len(self._leases) > 1:
                        self._note(lease, left_out=_refusal(lease, error))
                    elif lease.namespace not in self._left_out:
                        log.warning("class.renew_failed", error=str(error))
                    continue
                self._note(lease, taken=None if held else self._taken(lease))

    def _note(self, lease: HeldLease, *, left_out: str | None = None, taken: str | None = None) -> None:
        """Notes why the namespace of the lease is not ours now; both None: it is ours. Raises `LostLease`
        when other installations have all namespaces."""
        namespace, was_ours = lease.namespace, self.covers(lease.namespace)
        for known, why in ((self._left_out, left_out), (self._others, taken)):
            known.pop(namespace, None)
            if why is not None:
                known[namespace] = why
        if taken is not None and len(self._others) == len(self._leases):
            raise LostLease(taken)
        if self.covers(namespace) != was_ours:
            why = left_out or taken
            log.error("namespace.left_out" if why else "namespace.claimed", namespace=namespace, why=why)
            self._on_change(self._why_none())
            self.changed(namespace)

    def _why_none(self) -> str | None:
        out = self._left_out | self._others
        return "; ".join(out.values()) if len(out) == len(self._leases) else None

    async def _take_all(self) -> str | None:
        """Tries to take all Leases. Returns None if at least one is ours (those left out are noted), else why
        none is."""
        self._left_out, self._others = {}, {}
        for lease in self._leases:
            try:
                held = await self._holds(lease)
            except KubeError as error:
                if not error.lasting:
                    return _refusal(lease, error)
                self._left_out[lease.namespace] = _refusal(lease, error)
                continue
            if not held:
                self._others[lease.namespace] = self._taken(lease)
        return self._why_none()

    async def _holds(self, lease: HeldLease) -> bool:
        # a Lease that somebody else wrote to at the same moment, as an upgrade of the chart does, is still
        # ours
        return await lease.take() or lease.holder == self._installation

    def _taken(self, lease: HeldLease) -> str:
        return (
            f"operator class {self._class} is served by {lease.holder or 'another installation'} "
            f"(Lease {lease.namespace}/{lease.name}); give this one another operatorClass, or uninstall "
            "that one"
        )


def _refusal(lease: HeldLease, error: KubeError) -> str:
    return f"Lease {lease.namespace}/{lease.name}: {error}"
