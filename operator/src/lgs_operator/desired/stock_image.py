"""The stock runtime's image, which the replicas of a manifest without an image of its own run. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lgs_crds import Spec

DIGEST: Final = "sha256:"


def stock_image(spec: Spec, of_the_operator: str) -> str:
    """The one that a manifest asks for: the operator's, or that with the tag or the digest of
    `spec.runtimeVersion`."""
    version = spec.runtime_version
    return of_the_operator if version is None else at_version(of_the_operator, version)


def at_version(image: str, version: str) -> str:
    """The same image with another tag, or with a digest."""
    named, _, _ = image.partition("@")
    head, slash, last = named.rpartition("/")
    repository = head + slash + last.partition(":")[0]
    return f"{repository}{'@' if version.startswith(DIGEST) else ':'}{version}"


def follows_the_operator(spec: Spec) -> bool:
    """It goes over to another stock image when the operator has another one."""
    return spec.image is None and spec.runtime_version is None


def manifest_follows(body: Mapping[str, Any]) -> bool:
    """The same of a manifest as the API server has it, of which nobody knows whether it is valid."""
    spec = body.get("spec") or {}
    return bool(spec) and not spec.get("image") and not spec.get("runtimeVersion")
