"""Which installation of the operator serves the services of a class: a Lease that names the installation, one
for the cluster, or one in each namespace of an operator that serves namespaces.

An installation keeps its claim over restarts and fail-overs: another one takes it when it was not renewed for
`claim_seconds`, or when it is gone, as after `helm uninstall`. Until then the other stays out and says so.

Of several namespaces one that is gone, or in which nothing may be written, is left out: the others do not
wait for it. When one goes or comes back the operator ends, and its Deployment starts it anew. One whose claim
another holds is left alone while that lasts: whoever may write Leases there, as the role `edit` may, decides
nothing for the other namespaces.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from lgs_operator.kube.client import KubeClient, KubeError
from lgs_operator.kube.lease import HeldLease, LostLease
from lgs_operator.naming import CLASS_LABEL, class_claim
from lgs_operator.settings import Settings

log = structlog.get_logger(__name__)


class ClassClaim:
    """`acquire`, then `hold` while this process acts. `on_change` is given why it stays out, None when it
    doesn't."""

    def __init__(
        self, cluster: KubeClient, settings: Settings, on_change: Callable[[str | None], None]
    ) -> None:
        self._class = settings.operator_class
        self._installation = settings.installation
        self._lease_seconds = settings.lease_seconds
        self._claim_seconds = settings.claim_seconds
        self._on_change = on_change
        name = class_claim(settings.operator_class, cluster_wide=not settings.namespaces)
        # In one order everywhere: of two that begin with the same namespaces one gets most of them.
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
        self._namespaces = settings.namespaces
        self.changed: Callable[[str], None] = lambda _: None
        self._left_out: dict[str, str] = {}
        """Namespaces that can't be served now, with what the API server says."""
        self._others: dict[str, str] = {}
        """Namespaces in which another has the class, with who."""

    def covers(self, namespace: str) -> bool:
        """Nobody else has the class there; `changed` is called with a namespace where that changes."""
        return namespace not in self._others

    async def acquire(self) -> tuple[str, ...]:
        """Returns when the class is this installation's, with the namespaces that it serves; none where that
        is the whole cluster."""
        before = None
        while True:
            why = await self._take_all()
            self._on_change(why)
            if why is None:
                log.info("class.claimed", operator_class=self._class)
                for namespace, refusal in (self._left_out | self._others).items():
                    log.error("namespace.left_out", namespace=namespace, why=refusal)
                return tuple(each for each in self._namespaces if each not in self._left_out)
            if why != before:
                log.error("class.stays_out", operator_class=self._class, why=why)
            before = why
            await asyncio.sleep(self._lease_seconds / 5)

    async def hold(self) -> None:
        """Renews until cancelled. Raises `LostLease` when another installation has the class, and when a
        namespace went or came back."""
        while True:
            await asyncio.sleep(self._claim_seconds / 10)
            for lease in self._leases:
                was_left_out = lease.namespace in self._left_out
                try:
                    held = await self._holds(lease)
                except KubeError as error:
                    if error.lasting and not was_left_out and len(self._leases) > 1:
                        words = f"namespace {lease.namespace} can't be served any more: {error}"
                        raise LostLease(words) from error
                    if not was_left_out:
                        log.warning("class.renew_failed", error=str(error))
                    continue
                if was_left_out:
                    raise LostLease(f"namespace {lease.namespace} can be served again")
                self._note(lease, held=held)

    def _note(self, lease: HeldLease, *, held: bool) -> None:
        """Raises `LostLease` when another has the last of the namespaces."""
        namespace, was_ours = lease.namespace, self.covers(lease.namespace)
        if held:
            self._others.pop(namespace, None)
        else:
            self._others[namespace] = self._taken(lease)
            if len(self._others) + len(self._left_out) == len(self._leases):
                raise LostLease(self._taken(lease))
        if held != was_ours:
            log.error("namespace.claimed" if held else "namespace.left_out", namespace=namespace)
            self.changed(namespace)

    async def _take_all(self) -> str | None:
        """Why none of them can be had, or None; then all of them are ours but for those that are left out."""
        self._left_out, self._others = {}, {}
        for lease in self._leases:
            try:
                held = await self._holds(lease)
            except KubeError as error:
                why = f"Lease {lease.namespace}/{lease.name}: {error}"
                if not error.lasting:
                    return why
                self._left_out[lease.namespace] = why
                continue
            if not held:
                self._others[lease.namespace] = self._taken(lease)
        out = self._left_out | self._others
        return "; ".join(out.values()) if len(out) == len(self._leases) else None

    async def _holds(self, lease: HeldLease) -> bool:
        # one that somebody wrote to at the same moment, as an upgrade of the chart does, is still ours
        return await lease.take() or lease.holder == self._installation

    def _taken(self, lease: HeldLease) -> str:
        return (
            f"operator class {self._class} is served by {lease.holder or 'another installation'} "
            f"(Lease {lease.namespace}/{lease.name}); give this one another operatorClass, or uninstall "
            "that one"
        )
