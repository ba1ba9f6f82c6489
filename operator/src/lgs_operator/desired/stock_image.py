"""The stock image of the runtime, which replicas run if their manifest names no image. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lgs_crds import Spec

DIGEST: Final = "sha256:"


def stock_image(spec: Spec, of_the_operator: str) -> str:
    """The stock image that a manifest asks for: the operator's, with the tag or digest in
    `spec.runtimeVersion` if that is set."""
    version = spec.runtime_version
    return of_the_operator if version is None else at_version(of_the_operator, version)


def at_version(image: str, version: str) -> str:
    """The image with `version` as its tag or digest."""
    named, _, _ = image.partition("@")
    head, slash, last = named.rpartition("/")
    repository = head + slash + last.partition(":")[0]
    return f"{repository}{'@' if version.startswith(DIGEST) else ':'}{version}"


def follows_the_operator(spec: Spec) -> bool:
    """Whether a service changes to another stock image when the operator has another one."""
    return spec.image is None and spec.runtime_version is None


def manifest_follows(body: Mapping[str, Any]) -> bool:
    """The same for a manifest as the API server has it, which may be invalid."""
    spec = body.get("spec") or {}
    return bool(spec) and not spec.get("image") and not spec.get("runtimeVersion")
