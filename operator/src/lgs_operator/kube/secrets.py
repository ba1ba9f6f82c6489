"""Reads Secrets, each by its name: nothing lists or watches them, because the right to do that is the right
to read them all.

Each Secret that was read is polled periodically, for its version alone; `changed` is called when that
differs. A namespace with many Secrets delays only its own polls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import SECRET, Key, Manifest

log = structlog.get_logger(__name__)


class SecretReader:
    """Reads and polls Secrets. `seconds` is the time between two polls of one Secret. `absent`: also poll one
    that did not exist, which somebody else may make."""

    def __init__(
        self, cluster: KubeClient, seconds: float, changed: Callable[[Key], None], *, absent: bool = True
    ) -> None:
        self._cluster = cluster
        self._absent = absent
        self._seconds = seconds
        self._changed = changed
        self._versions: dict[str, dict[Key, str]] = {}
        self._polling: set[str] = set()

    async def get(self, key: Key) -> Manifest | None:
        """The Secret, or None if it does not exist; it is polled from now on."""
        manifest = await self._cluster.get(SECRET, key.namespace, key.name)
        self.put(key, manifest)
        return manifest

    def put(self, key: Key, manifest: Manifest | None) -> None:
        """Takes the current state of a Secret, from our own read or write."""
        self._versions.setdefault(key.namespace, {})[key] = _version(manifest)

    def forget(self, key: Key) -> None:
        """Stops polling a Secret that nobody reads any more."""
        keys = self._versions.get(key.namespace, {})
        keys.pop(key, None)
        if not keys:
            self._versions.pop(key.namespace, None)

    async def run(self) -> None:
        """Polls until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                for namespace in self._versions.keys() - self._polling:
                    self._polling.add(namespace)
                    tasks.create_task(self._poll_namespace(namespace))
                await asyncio.sleep(self._seconds / 10)

    async def _poll_namespace(self, namespace: str) -> None:
        try:
            await asyncio.sleep(self._seconds)
            for key, version in list(self._versions.get(namespace, {}).items()):
                if version or self._absent:
                    await self._poll_secret(key)
        except Exception:
            # Whatever it was, it concerns only this namespace's poll.
            log.exception("secrets.crashed", namespace=namespace)
        finally:
            self._polling.discard(namespace)

    async def _poll_secret(self, key: Key) -> None:
        before = self._versions.get(key.namespace, {}).get(key)
        try:
            now = _version(await self._cluster.get(SECRET, key.namespace, key.name, metadata_only=True))
        except KubeError as error:
            log.warning("secret.unread", secret=f"{key.namespace}/{key.name}", error=str(error))
            return
        # a Secret that was written or forgotten meanwhile is known better
        keys = self._versions.get(key.namespace, {})
        if before != now and key in keys and keys[key] == before:
            keys[key] = now
            self._changed(key)


def _version(manifest: Manifest | None) -> str:
    return "" if manifest is None else str(manifest["metadata"]["resourceVersion"])
