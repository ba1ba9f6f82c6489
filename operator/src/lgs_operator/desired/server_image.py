"""Which image a managed database runs: the major version belongs to the volume, not to the operator. Pure.

A server of another major version does not read the volume, so an operator that brings one leaves it to the
services that are made anew. Releases of the same major version reach all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lgs_operator.kube.kinds import Manifest

IMAGE_ANNOTATION: Final = "lgs.dev/postgres-image"
UID_ANNOTATION: Final = "lgs.dev/postgres-uid"
MAJOR_ANNOTATION: Final = "lgs.dev/postgres-major"
# 17-alpine, 17.2-1; of images with an extension 2.18.2-pg17, pg16. A tag that begins with a number below that
# of any PostgreSQL that is served counts something else.
_TAG: Final = re.compile(r":(?:[^/:@]*pg|v?)(1[3-9]|[2-9]\d)(?:[.-][^/:@]*)?(?:@.*)?$")


@dataclass(frozen=True)
class ServerImage:
    """`uid` is the user that its server runs as; `major` is None where neither the settings nor the tag
    have it."""

    name: str
    uid: int
    major: int | None = None

    @property
    def version(self) -> int | None:
        """The major version of PostgreSQL, as far as it is known."""
        if self.major is not None:
            return self.major
        tag = _TAG.search(self.name)
        return int(tag[1]) if tag else None

    def annotations(self) -> dict[str, str]:
        """What the volume's claim keeps of it."""
        known = {MAJOR_ANNOTATION: str(self.version)} if self.version is not None else {}
        return {IMAGE_ANNOTATION: self.name, UID_ANNOTATION: str(self.uid)} | known


def image_to_run(recorded: ServerImage | None, offered: ServerImage) -> ServerImage:
    """`recorded` is what the volume was served by last. Where a major version is not known, another image is
    not tried on data."""
    if recorded is None or recorded.name == offered.name:
        return offered
    same = recorded.version is not None and recorded.version == offered.version
    return offered if same else recorded


def recorded_image(claim: Manifest | None, stateful_set: Manifest | None) -> ServerImage | None:
    """What the volume was served by last: its claim says so, else the server that is there."""
    if claim is None:
        return None
    kept: Mapping[str, str] = claim["metadata"].get("annotations") or {}
    if name := kept.get(IMAGE_ANNOTATION):
        return ServerImage(name, _number(kept.get(UID_ANNOTATION)) or 0, _number(kept.get(MAJOR_ANNOTATION)))
    return _running(stateful_set) if stateful_set is not None else None


def _running(stateful_set: Mapping[str, Any]) -> ServerImage | None:
    pod = stateful_set.get("spec", {}).get("template", {}).get("spec", {})
    containers, uid = pod.get("containers"), pod.get("securityContext", {}).get("runAsUser")
    return ServerImage(containers[0]["image"], int(uid)) if containers and uid else None


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdecimal() else None
