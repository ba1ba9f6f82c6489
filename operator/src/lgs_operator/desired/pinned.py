"""A service that runs one of its revisions in place of what its manifest now says. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic.alias_generators import to_camel

from lgs_crds import LangGraphService, parse
from lgs_operator.desired.deployment import canary_deployment, canary_replicas
from lgs_operator.desired.inputs import Inputs
from lgs_operator.desired.revision import (
    NOT_OF_THE_CACHE,
    SECTIONS,
    controller_revision,
    number_of,
    source_of,
)
from lgs_operator.kube.kinds import CONTROLLER_REVISION, Key, Manifest
from lgs_operator.kube.referenced import MissingReference, Reference

FIELD: Final = "spec.rollout.revision"
REDIS_FIELD: Final = f"spec.cache.{NOT_OF_THE_CACHE}"
OF_A_REVISION: Final = frozenset({*map(to_camel, SECTIONS), "source", "runtimeVersion"})
"""The sections of a manifest that a revision replaces."""


@dataclass(frozen=True)
class Canary:
    """The next revision, which runs beside the present one with `percent` % of the threads. `kept` are the
    keys of its copy of the source and of its other existing objects."""

    inputs: Inputs
    percent: int
    kept: frozenset[Key]

    @property
    def number(self) -> int | None:
        """The number of the canary's revision."""
        return None if self.inputs.revision is None else self.inputs.revision.number

    def objects(self, replicas: int) -> list[Manifest]:
        """The objects that it wants beside `replicas` replicas of the other revision."""
        revision = controller_revision(self.inputs)
        count = canary_replicas(self.inputs.service, replicas, self.percent)
        return [
            *([] if revision is None else [revision]),
            canary_deployment(self.inputs, self.percent, count),
        ]


@dataclass(frozen=True)
class Pinned:
    """A service at a revision. `stock_image` is what the revision runs if it has no image of its own;
    `instead_of` is the revision that the manifest asks for and that was taken back, `canary` the one that it
    asks for and that runs beside. `number` is the revision's, if it is kept; `lacking` is why its replicas
    stay as they are."""

    service: LangGraphService
    stock_image: str | None
    instead_of: int | None = None
    canary: Canary | None = None
    number: int | None = None
    lacking: tuple[MissingReference, ...] = ()

    @property
    def instead(self) -> bool:
        """Whether it runs in place of what the manifest asks for, or beside that, without being asked for."""
        return self.instead_of is not None or self.canary is not None


def missing_of(
    pin: Pinned | MissingReference | None, missing: Sequence[MissingReference]
) -> tuple[MissingReference, ...]:
    """All missing objects of what is to run. The message for one that only the revision names says so."""
    if isinstance(pin, MissingReference):
        return (pin, *missing)
    if pin is None:
        return tuple(missing)
    return (*pin.lacking, *(of_revision(pin.number, each) for each in missing))


def of_revision(number: int | None, missing: MissingReference) -> MissingReference:
    """A missing object with a message that says which revision names it, if only that one does."""
    section = missing.reference.field.split(".")[1]
    if number is None or section not in OF_A_REVISION or missing.reference.field.startswith(REDIS_FIELD):
        return missing
    return replace(missing, message=f"revision {number}: {missing.message}")


def pinned(
    document: Mapping[str, Any], service: LangGraphService, history: Sequence[Manifest]
) -> Pinned | MissingReference | None:
    """The service at the revision that its manifest pins; None if it pins none. Raises `ManifestError` if
    what the revision keeps does not fit the rest of the manifest."""
    wanted = service.spec.rollout.revision
    if wanted is None:
        return None
    return at_number(document, wanted, history) or _not_found(wanted, history)


def at_number(
    document: Mapping[str, Any], number: int, history: Sequence[Manifest], *, instead_of: int | None = None
) -> Pinned | None:
    """The service at this revision; None if that is not kept. Raises like `pinned`."""
    found = next((each for each in history if number_of(each) == number), None)
    if found is None:
        return None
    service = parse(at_revision(document, found), source=f"revision {number}", on_cluster=True)
    return Pinned(service, found["data"].get("stockImage"), instead_of, number=number)


def at_revision(document: Mapping[str, Any], revision: Manifest) -> dict[str, Any]:
    """The manifest with what this revision keeps in place of its own sections. The source is
    the revision's copy."""
    said, kept, copy = document["spec"], revision["data"]["spec"], source_of(revision)
    spec = {name: each for name, each in said.items() if name not in OF_A_REVISION} | kept
    redis = (said.get("cache") or {}).get(NOT_OF_THE_CACHE)
    if redis is not None:
        spec["cache"] = spec.get("cache", {}) | {NOT_OF_THE_CACHE: redis}
    if copy is not None:
        spec["source"] = {"configMap": copy}
    return {**document, "spec": spec}


def _not_found(wanted: int, history: Sequence[Manifest]) -> MissingReference:
    numbers = ", ".join(str(each) for each in sorted(map(number_of, history)))
    words = f"{FIELD}: {wanted}: there is no such revision any more; those that are kept: {numbers or 'none'}"
    return MissingReference("RevisionNotFound", words, Reference(CONTROLLER_REVISION, str(wanted), FIELD))
