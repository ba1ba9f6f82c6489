"""The stable revision: what replicas run in place of a failed release, or beside a canary. Pure.

If the revision can't be made again, because it is no longer kept or does not fit the rest of the manifest,
its existing replicas stay as they are: that is no reason for a release to become the whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from lgs_crds import LangGraphService, ManifestError
from lgs_crds.reasons import Reason
from lgs_crds.status import Status
from lgs_operator.desired.inputs import Inputs
from lgs_operator.desired.pinned import FIELD, Canary, Pinned, at_number
from lgs_operator.kube.kinds import CONFIG_MAP, CONTROLLER_REVISION, DEPLOYMENT, Key, Manifest
from lgs_operator.kube.referenced import MissingReference, Reference
from lgs_operator.naming import object_name
from lgs_operator.status.canary import canary_of
from lgs_operator.status.health import to_go_back_to

STRATEGY = "spec.rollout.strategy"


@dataclass(frozen=True)
class Known:
    """What is known about a service: its manifest, the revision that its replicas run, the kept revisions,
    and its status as last reported. `is_there`: the Deployment of those replicas exists."""

    document: Mapping[str, Any]
    current: int | None
    history: Sequence[Manifest]
    before: Status
    is_there: bool = True


def taken_back(inputs: Inputs, known: Known) -> Pinned | None:
    """What to run in place of the release of `inputs` if that failed; None if the release is to run. Raises
    `ManifestError` if the revision to go back to does not fit the current manifest."""
    if inputs.revision is None:
        return None
    released = inputs.revision.number
    number = to_go_back_to(inputs.service, released, known.before)
    if number is None:
        return None
    if number == known.current:
        return replace(_running(inputs.service, number, known), instead_of=released)
    return at_number(known.document, number, known.history, instead_of=released)


def beside(inputs: Inputs, known: Known, kept: frozenset[Key], now: datetime) -> Pinned | None:
    """What to run while the release of `inputs` is a canary beside it; None if the release is to run whole.
    `kept` are the objects of other revisions that stay."""
    lost = _lost(known)
    current = known.current if lost is None else lost.number
    if inputs.revision is None or current is None:
        return None
    found = canary_of(inputs.service, inputs.revision.number, current, known.before, now)
    if found is None:
        return None
    stable = lost or _running(inputs.service, current, known)
    copy = Key(CONFIG_MAP, inputs.namespace, inputs.source_copy or "")
    return replace(stable, canary=Canary(inputs, found.percent, kept | {copy}))


def _lost(known: Known) -> Pinned | None:
    """What the replicas ran before somebody deleted their Deployment; None if it exists, or can't be made
    again. Once the loss was reported, the status no longer names the revision that was run: then the newest
    one that worked counts."""
    before = known.before
    number, released = before.revision, before.canary.revision if before.canary else None
    if number is None and released is not None:
        worked = (each.revision for each in before.revisions if each.state == "Ready")
        number = max((each for each in worked if each != released), default=None)
    if known.current is not None or known.is_there or number is None:
        return None
    with suppress(ManifestError):
        return at_number(known.document, number, known.history)
    return None


def without_canary(pin: Pinned, service: str, taken: str) -> Pinned:
    """The same without the canary, which can't be made since its name is taken; `taken` says by whom."""
    released = pin.canary.number if pin.canary else None
    words = f"{STRATEGY}: Canary: revision {released} is not released: its {taken}; or choose Rolling"
    reference = Reference(DEPLOYMENT, object_name(service, "canary"), STRATEGY)
    return replace(pin, canary=None, lacking=(*pin.lacking, MissingReference("Refused", words, reference)))


def _running(service: LangGraphService, number: int, known: Known) -> Pinned:
    """The service at the revision that its replicas run now."""
    try:
        found = at_number(known.document, number, known.history)
    except ManifestError as error:
        problems = "; ".join(map(str, error.problems))
        words = f"revision {number} does not go with the rest of the manifest: {problems}"
        return _as_it_is(service, number, "RevisionInvalid", words)
    gone = f"revision {number}, which replicas run, is not kept any more"
    return found or _as_it_is(service, number, "RevisionNotFound", gone)


def _as_it_is(service: LangGraphService, number: int, reason: Reason, why: str) -> Pinned:
    words = f"{why}: its replicas stay as they are until another one is the whole"
    reference = Reference(CONTROLLER_REVISION, str(number), FIELD)
    return Pinned(service, None, lacking=(MissingReference(reason, words, reference),))
