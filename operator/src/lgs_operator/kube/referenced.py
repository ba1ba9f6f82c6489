"""What the user's ConfigMaps and Secrets hold, as hashes, and which of the referenced ones are missing.

They are read when needed and forgotten when the object changes; only hashes are kept in memory.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lgs_crds.reasons import Reason
from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import SECRET, Key, Kind, Manifest, ServiceKey
from lgs_operator.kube.secrets import SecretReader

Digests = Mapping[str, str]
NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
LONGEST_NAME: Final = 253
FORBIDDEN: Final = 403
_OF_NOTHING: Final = hashlib.sha256(b"").hexdigest()
_NOT_FOUND: Final[Mapping[str, Reason]] = {"Secret": "SecretNotFound", "ConfigMap": "ConfigMapNotFound"}
_NO_SUCH_KEY: Final[Mapping[str, Reason]] = {
    "Secret": "SecretKeyNotFound",
    "ConfigMap": "ConfigMapKeyNotFound",
}


@dataclass(frozen=True)
class Reference:
    """A reference to an object, or to one `key` of it. `field` is where the manifest names it."""

    kind: Kind
    name: str
    field: str
    key: str | None = None
    optional: bool = False
    live: bool = False
    """The pods notice a change by themselves; it starts no new pods."""
    copied: bool = False
    """The pods read a copy that is named after its content."""


@dataclass(frozen=True)
class MissingReference:
    """A reference that leads nowhere, with the message for a condition."""

    reason: Reason
    message: str
    reference: Reference

    @property
    def is_refused(self) -> bool:
        """The object exists, but no copy of it can be made; nothing reports when that changes."""
        return self.reason == "SourceNotCopied"


class ReferencedObjects:
    """Reads referenced objects from the cluster and remembers their hashes; `changed` says what to read
    again."""

    def __init__(self, cluster: KubeClient, secrets: SecretReader) -> None:
        self._cluster = cluster
        self._secrets = secrets
        self._digests: dict[Key, Digests | None] = {}
        self._names: dict[Key, frozenset[str]] = {}
        self._asked: dict[Key, object] = {}
        self._readers: dict[Key, set[ServiceKey]] = {}
        self._reads: dict[ServiceKey, set[Key]] = {}

    async def read(
        self, service: ServiceKey, wanted: tuple[Reference, ...], watched: tuple[Reference, ...] = ()
    ) -> tuple[str, tuple[MissingReference, ...]]:
        """The hash of everything referenced, and what is missing. Remembers that `service` reads these
        objects, and that a change of the `watched` ones matters to it as well."""
        keys = {Key(each.kind, service.namespace, each.name) for each in (*wanted, *watched)}
        for key in self._reads.get(service, set()) - keys:
            self._drop_reader(service, key)
        self._reads[service] = keys
        for key in keys:
            self._readers.setdefault(key, set()).add(service)
        found: dict[Reference, Digests | None] = {}
        withheld: dict[Reference, MissingReference] = {}
        for reference in wanted:
            key = Key(reference.kind, service.namespace, reference.name)
            try:
                found[reference] = await self._digests_of(key) if _can_be(reference.name) else None
            except KubeError as error:
                if error.status != FORBIDDEN:
                    raise
                found[reference] = None
                withheld[reference] = _withheld(reference, error)
        problems = (
            withheld.get(each) or _missing(each, digests, service.namespace)
            for each, digests in found.items()
        )
        missing = tuple(each for each in problems if each is not None)
        for each in missing:
            # A service that waits for it is reconciled again soon, not only when the object changes.
            self._digests.pop(Key(each.reference.kind, service.namespace, each.reference.name), None)
        return combined(found), missing

    def digest(self, key: Key) -> str | None:
        """The hash of everything that an object held when it was read; None if it is unknown, or does not
        exist."""
        digests = self._digests.get(key)
        return None if digests is None else _digest_of_all(digests)

    def names(self, key: Key) -> frozenset[str]:
        """The keys that held something when the object was last read; none if it did not exist."""
        return self._names.get(key, frozenset())

    def changed(self, key: Key) -> set[ServiceKey]:
        """The services that read this object; it will be read again."""
        self._digests.pop(key, None)
        self._asked.pop(key, None)
        return set(self._readers.get(key, ()))

    def forget(self, service: ServiceKey) -> None:
        """Notes that the service reads nothing any more."""
        for key in self._reads.pop(service, set()):
            self._drop_reader(service, key)

    def _drop_reader(self, service: ServiceKey, key: Key) -> None:
        readers = self._readers.get(key, set())
        readers.discard(service)
        if not readers:
            self._readers.pop(key, None)
            self._digests.pop(key, None)
            self._names.pop(key, None)
            self._asked.pop(key, None)
            if key.kind == SECRET:
                self._secrets.forget(key)

    async def _digests_of(self, key: Key) -> Digests | None:
        if key not in self._digests:
            this = self._asked[key] = object()
            manifest = await self._get(key)
            digests = None if manifest is None else _digests(manifest)
            self._names[key] = frozenset(
                name for name, each in (digests or {}).items() if each != _OF_NOTHING
            )
            if self._asked.get(key) is not this:
                # the object changed during the read: a service that is due because of that reads it again
                return digests
            del self._asked[key]
            self._digests[key] = digests
            held = (name for name, digest in (digests or {}).items() if digest != _OF_NOTHING)
            self._names[key] = frozenset(held)
        return self._digests[key]

    async def _get(self, key: Key) -> Manifest | None:
        if key.kind == SECRET:
            return await self._secrets.get(key)
        return await self._cluster.get(key.kind, key.namespace, key.name)


def combined(found: Mapping[Reference, Digests | None]) -> str:
    """One hash over the referenced keys, except those whose changes reach pods in another way; the order of
    references does not matter."""
    parts = sorted(
        [each.kind.name, each.name, name, digest]
        for each, digests in found.items()
        for name, digest in (digests or {}).items()
        if not (each.live or each.copied) and (each.key is None or each.key == name)
    )
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def digest_of(manifest: Mapping[str, object]) -> str:
    """The hash of everything that a ConfigMap or Secret holds."""
    return _digest_of_all(_digests(manifest))


def _digest_of_all(digests: Digests) -> str:
    return hashlib.sha256(json.dumps(sorted(digests.items())).encode()).hexdigest()[:16]


def _digests(manifest: Mapping[str, object]) -> Digests:
    values: dict[str, str] = {}
    for part in ("data", "binaryData"):
        data = manifest.get(part)
        if isinstance(data, Mapping):
            values |= {str(name): str(value) for name, value in data.items()}
    return {name: hashlib.sha256(value.encode()).hexdigest() for name, value in values.items()}


def _withheld(reference: Reference, error: KubeError) -> MissingReference:
    message = (
        f"{reference.field}: {reference.name}: the operator may not read this {reference.kind.name}: {error}"
    )
    return MissingReference("ReferenceForbidden", message, reference)


def _missing(reference: Reference, digests: Digests | None, namespace: str) -> MissingReference | None:
    kind, field, name = reference.kind.name, reference.field, reference.name
    if not _can_be(name):
        message = f"{field}: {name[:80]!r}: must be the name of a {kind}: lower-case letters, digits, - and ."
        return MissingReference("InvalidReference", message, reference)
    if reference.optional:
        return None
    if digests is None:
        message = f"{field}: {name}: there is no {kind} of this name in namespace {namespace}; create it"
        return MissingReference(_NOT_FOUND[kind], message, reference)
    if reference.key is not None and reference.key not in digests:
        # Its other keys are not named: not everyone who may write a manifest may read Secrets.
        message = f"{field}: {name}: the {kind} has no key {reference.key[:253]!r}; add it"
        return MissingReference(_NO_SUCH_KEY[kind], message, reference)
    return None


def _can_be(name: str) -> bool:
    """Whether an object can have this name (a DNS subdomain, RFC 1123)."""
    return len(name) <= LONGEST_NAME and NAME.fullmatch(name) is not None
