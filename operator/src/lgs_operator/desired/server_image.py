"""The image that a managed database runs: the major version belongs to the volume, not to the operator. Pure.

A server of another major version can't read the volume, so an operator that brings one uses it for new
services only. Releases of the same major version reach all services.
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
# Matches 17-alpine and 17.2-1, and for images with an extension 2.18.2-pg17 and pg16. A tag that begins with
# a lower number than any supported PostgreSQL counts something else.
_TAG: Final = re.compile(r":(?:[^/:@]*pg|v?)(1[3-9]|[2-9]\d)(?:[.-][^/:@]*)?(?:@.*)?$")


@dataclass(frozen=True)
class ServerImage:
    """An image of PostgreSQL. `uid` is the user that its server runs as, `major` the major version that the
    operator's settings or the volume's claim name, None if they do not."""

    name: str
    uid: int
    major: int | None = None

    @property
    def version(self) -> int | None:
        """The major version of PostgreSQL, from `major` or else the tag; None if it is not known."""
        if self.major is not None:
            return self.major
        tag = _TAG.search(self.name)
        return int(tag[1]) if tag else None

    def annotations(self) -> dict[str, str]:
        """The annotations by which the volume's claim remembers the image."""
        known = {MAJOR_ANNOTATION: str(self.version)} if self.version is not None else {}
        return {IMAGE_ANNOTATION: self.name, UID_ANNOTATION: str(self.uid)} | known


def image_to_run(recorded: ServerImage | None, offered: ServerImage) -> ServerImage:
    """The image to run: `offered`, unless the volume was last served by `recorded` of another major version.
    If a version is not known, another image is not tried on data."""
    if recorded is None or recorded.name == offered.name:
        return offered
    same = recorded.version is not None and recorded.version == offered.version
    return offered if same else recorded


def recorded_image(claim: Manifest | None, stateful_set: Manifest | None) -> ServerImage | None:
    """The image that served the volume last, from its claim, else from the existing
    server; None if unknown."""
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
