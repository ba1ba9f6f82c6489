"""Keeps old revisions for what is pinned to them: works out what each of them is to run now, with the Secrets
and the rest of the manifest as they are today, and reports those that begin and end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from lgs_crds import ManifestError
from lgs_crds.status import Status
from lgs_operator.context import Context
from lgs_operator.desired.deployment import kept_deployment
from lgs_operator.desired.inputs import Inputs, Revision
from lgs_operator.desired.kept import kept_deployments, kept_name, kept_replicas
from lgs_operator.desired.pinned import Pinned, at_number, of_revision
from lgs_operator.desired.references import references
from lgs_operator.desired.revision import history_of, number_of, source_of
from lgs_operator.kept_revisions import Kept, Running, kept_now, words_of
from lgs_operator.kube.kinds import CONFIG_MAP, DEPLOYMENT, Key, Manifest, ServiceKey, key_of
from lgs_operator.kube.referenced import Reference
from lgs_operator.status.diagnosis import Diagnosis
from lgs_operator.status.revisions import current_revision

NOTHING = Kept()
_STAYS = "its replicas stay as they are"


@dataclass(frozen=True)
class Around:
    """What is there around a release: the manifest, the service's objects, its status as last reported, and
    all that it reads."""

    document: Mapping[str, Any]
    live: Mapping[Key, Manifest]
    before: Status
    watched: Sequence[Reference]


@dataclass(frozen=True)
class OldRevisions:
    """The old revisions of a service: the Deployments that are wanted for them, the keys of what stays as it
    is, and what some of them lack."""

    kept: Kept = NOTHING
    wanted: tuple[Manifest, ...] = ()
    stays: frozenset[Key] = frozenset()
    lacking: Diagnosis | None = None


class RevisionKeeper:
    """Keeps old revisions, for one service at a time."""

    def __init__(self, context: Context) -> None:
        self._state = context.state
        self._recorder = context.recorder

    def references(
        self, key: ServiceKey, document: Mapping[str, Any], live: Mapping[Key, Manifest]
    ) -> tuple[Reference, ...]:
        """What the revisions name that are kept or may be: a change of it matters to the service."""
        numbers: set[int | None] = {*kept_deployments(key, live)}
        if (document["spec"].get("rollout") or {}).get("strategy") == "Pinned":
            numbers |= {current_revision(live.get(Key(DEPLOYMENT, *key)))}
        found = (_at(document, number, history_of(live)) for number in numbers if number is not None)
        return tuple(
            each for pin in found if isinstance(pin, Pinned) for each in references(pin.service.spec)
        )

    async def bring(self, key: ServiceKey, inputs: Inputs, around: Around, now: datetime) -> OldRevisions:
        """The old revisions beside the release of `inputs`."""
        live, before = around.live, around.before
        there = kept_deployments(key, live)
        if inputs.revision is None:
            # nothing is known of what is released: all that is there stays
            return OldRevisions(stays=self._all(key, live, there))
        whole = live.get(Key(DEPLOYMENT, *key))
        running = Running(inputs.revision.number, current_revision(whole), there)
        kept = kept_now(inputs.service, running, before, now)
        if not kept.numbers:
            return OldRevisions(kept)
        replicas = int((whole or {}).get("spec", {}).get("replicas", 1))
        told = {each.revision: each for each in before.pinned or ()}
        history = history_of(live)
        wanted, lacking, stays = list[Manifest](), list[Diagnosis](), set[Key]()
        for number in kept.numbers:
            name = kept_name(key.name, number)
            stays |= _of_revision(key, number, history)
            found = await self._inputs(key, inputs, number, around)
            if isinstance(found, Diagnosis):
                lacking.append(found)
                stays.add(Key(DEPLOYMENT, key.namespace, name))
                continue
            count = kept_replicas(found.service, there.get(number), told.get(number), replicas)
            wanted.append(kept_deployment(found, name, count))
        return OldRevisions(kept, tuple(wanted), frozenset(stays), lacking[0] if lacking else None)

    async def report(self, key: ServiceKey, inputs: Inputs, old: OldRevisions, around: Around) -> None:
        """Reports as Events which revisions have begun to be kept, and which end, beside that of `inputs`."""
        if inputs.revision is None:
            return
        service, released = inputs.service, inputs.revision.number
        there = kept_deployments(key, around.live)
        named = {each["metadata"]["name"] for each in old.wanted}
        uid, rollout = service.metadata.uid or "", service.spec.rollout
        for number in old.kept.numbers:
            if number not in there and kept_name(key.name, number) in named:
                words = f"revision {number} is kept for what is pinned to it; new threads go to {released}"
                await self._recorder.emit(key, uid, "Normal", "RevisionKept", words)
        for each in old.kept.endings:
            words = words_of(each, rollout, released)
            if each.moves:
                await self._recorder.emit(key, uid, "Warning", "PinsMoved", words)
            else:
                await self._recorder.emit(key, uid, "Normal", "RevisionEnded", words)

    async def _inputs(
        self, key: ServiceKey, inputs: Inputs, number: int, around: Around
    ) -> Inputs | Diagnosis:
        """What the builders are given for a revision; or why its replicas stay as they are."""
        document, live = around.document, around.live
        history = history_of(live)
        pin = _at(document, number, history)
        if isinstance(pin, Diagnosis):
            return pin
        revision = next(each for each in history if number_of(each) == number)
        copy = source_of(revision)
        if copy is not None and Key(CONFIG_MAP, key.namespace, copy) not in live:
            words = f"revision {number}: its copy of the source, ConfigMap {copy}, is gone; {_STAYS}"
            return Diagnosis("ConfigMapNotFound", words)
        all_of_it = (*around.watched, *self.references(key, document, live))
        contents, missing = await self._state.referenced.read(key, references(pin.service.spec), all_of_it)
        # the source is the revision's own copy, which stays with it
        missing = tuple(each for each in missing if not each.reference.copied)
        if missing:
            return Diagnosis(missing[0].reason, f"{of_revision(number, missing[0]).message}; {_STAYS}")
        stock = pin.stock_image or inputs.images.runtime
        return replace(
            inputs,
            service=pin.service,
            images=replace(inputs.images, runtime=stock),
            contents=contents,
            source_copy=copy,
            revision=Revision(number, revision["metadata"]["name"], revision["data"]),
            retreats=False,
        )

    def _all(self, key: ServiceKey, live: Mapping[Key, Manifest], there: Iterable[int]) -> frozenset[Key]:
        history, found = history_of(live), set[Key]()
        for number in there:
            found |= {Key(DEPLOYMENT, key.namespace, kept_name(key.name, number))}
            found |= _of_revision(key, number, history)
        return frozenset(found)


def _at(document: Mapping[str, Any], number: int, history: Sequence[Manifest]) -> Pinned | Diagnosis:
    """The service at a revision; or why that can't be made again."""
    try:
        found = at_number(document, number, history)
    except ManifestError as error:
        problems = "; ".join(map(str, error.problems))
        words = f"revision {number} does not go with the rest of the manifest: {problems}; {_STAYS}"
        return Diagnosis("RevisionInvalid", words)
    gone = f"revision {number}, to which threads are pinned, is not kept any more; {_STAYS}"
    return found or Diagnosis("RevisionNotFound", gone)


def _of_revision(key: ServiceKey, number: int, history: Sequence[Manifest]) -> set[Key]:
    """The ControllerRevision of a revision, and its copy of the source."""
    found = [each for each in history if number_of(each) == number]
    copies = {Key(CONFIG_MAP, key.namespace, copy) for each in found if (copy := source_of(each))}
    return {*map(key_of, found), *copies}
