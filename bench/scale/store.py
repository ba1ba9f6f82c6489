"""The objects of the API server that is played, as text, and what is new of them for who watches."""

from __future__ import annotations

import asyncio
import json
import uuid
from dataclasses import dataclass, field
from typing import NamedTuple

from bench.scale.dressing import stamp

from lgs_operator.kube.kinds import Manifest


class Place(NamedTuple):
    """What a path names."""

    version: str
    plural: str
    namespace: str
    name: str
    sub: str


@dataclass(frozen=True)
class Kept:
    """An object as text."""

    text: bytes
    namespace: str
    labels: dict[str, str]
    version: int


@dataclass
class Store:
    """The objects by plural, and the news of them."""

    objects: dict[str, dict[tuple[str, str], Kept]] = field(default_factory=dict)
    watches: dict[str, set[asyncio.Queue[bytes]]] = field(default_factory=dict)
    news: list[tuple[int, str, bytes]] = field(default_factory=list)
    version: int = 1

    def of(self, plural: str) -> dict[tuple[str, str], Kept]:
        """All of a kind."""
        return self.objects.setdefault(plural, {})

    def get(self, place: Place) -> Manifest | None:
        """One object."""
        kept = self.of(place.plural).get((place.namespace, place.name))
        return None if kept is None else json.loads(kept.text)

    def put(self, plural: str, manifest: Manifest) -> Manifest:
        """Takes a new object, or a new state of one."""
        self.version += 1
        head = manifest["metadata"]
        given = {"resourceVersion": str(self.version)}
        if "uid" not in head:
            given |= {"uid": str(uuid.uuid4()), "creationTimestamp": stamp()}
        manifest = manifest | {"metadata": {"generation": 1} | head | given}
        text = json.dumps(manifest, separators=(",", ":")).encode()
        key, known = (head["namespace"], head["name"]), self.of(plural)
        event = b"MODIFIED" if key in known else b"ADDED"
        known[key] = Kept(text, head["namespace"], head.get("labels", {}), self.version)
        self._tell(plural, event, text)
        return manifest

    def remove(self, plural: str, key: tuple[str, str]) -> None:
        """An object goes."""
        gone = self.of(plural).pop(key, None)
        if gone is not None:
            self.version += 1
            manifest = json.loads(gone.text)
            manifest["metadata"]["resourceVersion"] = str(self.version)
            self._tell(plural, b"DELETED", json.dumps(manifest).encode())

    def _tell(self, plural: str, event: bytes, text: bytes) -> None:
        line = b'{"type":"' + event + b'","object":' + text + b"}\n"
        self.news.append((self.version, plural, line))
        for watch in self.watches.get(plural, ()):
            watch.put_nowait(line)
