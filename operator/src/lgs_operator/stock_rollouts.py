"""Whose turn it is to go over to another stock image: only so many services do at a time, so that an image
that does not work reaches few of them. Acts on nothing; it remembers who is on the way, and has no turn for
anybody before it was told of all (`begin`): an operator that starts hears of services one by one.

A service is on its way until all its replicas run the image, and for good where that failed: who comes up
with it makes room for the next, who does not, stops the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import takewhile
from typing import Any, Final

import structlog

from lgs_operator.desired.revision import history_of, number_of
from lgs_operator.kube.kinds import DEPLOYMENT, Key, Manifest, ServiceKey
from lgs_operator.status.database import DATABASE_REASONS
from lgs_operator.status.revisions import current_revision

log = structlog.get_logger(__name__)
Told = Mapping[str, Any]
"""The status of a service, as it was reported last."""
STATES: Final = ("moving", "failed", "waiting")
"""What a service is counted as."""
WORKED: Final = frozenset({"Ready", "Replaced"})
OF_NO_IMAGE: Final = DATABASE_REASONS | {"Unschedulable"}
"""Reasons for which a service that had come up takes no work, and that are no image's."""


def stock_image_now(key: ServiceKey, live: Mapping[Key, Manifest]) -> str | None:
    """The stock image that new pods of a service run; None where they run none, or nobody knows."""
    current = current_revision(live.get(Key(DEPLOYMENT, *key)))
    found = next((each for each in history_of(live) if number_of(each) == current), None)
    return None if found is None else found["data"].get("stockImage")


def is_on_its_way(told: Told, image: str) -> bool:
    """A service that ran another image goes over to this one, or has failed to. What it released itself once
    it had come up with it is its own matter."""
    released, revisions = _released_with(told, image), told.get("revisions") or []
    if released is None or not any(each.get("image") != image and _worked(each) for each in revisions):
        return False
    # what is gone back to has the number that it had
    others = (each for each in revisions if each is not released)
    since = takewhile(lambda each: each.get("image") == image, others)
    if any(each.get("state") == "Ready" for each in since):
        return False
    state, number = released.get("state"), released["revision"]
    if state == "Failed" or _canary(told) == number:
        return True
    if told.get("revision") != number:
        return bool(state == "Progressing")
    # one that is to have no replicas is complete without any that was ready
    status, reason = _progressing(told)
    return reason != "Complete" and (state == "Progressing" or (state == "Ready" and status == "True"))


def _released_with(told: Told, image: str) -> Mapping[str, Any] | None:
    """The revision with this image that is a canary, or is run, or was released last and taken back; None
    where that has another one."""
    revisions = told.get("revisions") or []
    numbered = {each["revision"]: each for each in revisions}
    found = (numbered.get(_canary(told)), numbered.get(told.get("revision")), *revisions[:1])
    return next((each for each in found if each is not None and each.get("image") == image), None)


def _canary(told: Told) -> int | None:
    number: int | None = (told.get("canary") or {}).get("revision")
    return number


def _worked(revision: Mapping[str, Any]) -> bool:
    return revision.get("state") in WORKED


def _has_failed(told: Told, image: str) -> bool:
    released = _released_with(told, image)
    return released is not None and bool(released.get("state") == "Failed")


def _fails(told: Told) -> bool:
    revisions, current = told.get("revisions") or [], told.get("revision")
    return any(each.get("revision") == current and each.get("state") == "Failed" for each in revisions)


def _down_for_another_reason(told: Told) -> str | None:
    """Why no replica takes work where no image would mend that: such a service would have its place among
    those on their way for as long. None for one that does, or for what an image may mend."""
    conditions: Iterable[Mapping[str, Any]] = told.get("conditions") or []
    found = next((each for each in conditions if each.get("type") == "Ready"), {})
    reason = str(found.get("reason"))
    return reason if found.get("status") == "False" and reason in OF_NO_IMAGE else None


def _progressing(told: Told) -> tuple[str, str]:
    """The status of the condition, and its reason."""
    found = (each for each in told.get("conditions") or [] if each.get("type") == "Progressing")
    return next(((each.get("status", ""), each.get("reason", "")) for each in found), ("", ""))


class StockRollouts:
    """`most` services at a time go over to `image`. `wake` is called with one that may have its turn now."""

    def __init__(self, image: str, most: int, wake: Callable[[ServiceKey], None]) -> None:
        self._image = image
        self._most = most
        self._wake = wake
        self._moving: dict[ServiceKey, bool] = {}
        """Those on their way, and whether they failed."""
        self._waiting: dict[ServiceKey, None] = {}
        self._seen: set[ServiceKey] | None = set()
        """Those that were reconciled before `begin`, of which more is known than it is told; None since."""

    def count(self, state: str) -> int:
        """How many are `moving`, have `failed` or are `waiting`."""
        known, failed = len(self._moving), sum(self._moving.values())
        return {"moving": known - failed, "failed": failed, "waiting": len(self._waiting)}[state]

    def is_due(self, now: str | None) -> bool:
        """A service that runs the stock image `now` is to go over, and `begin` is wanted before."""
        return self._seen is not None and now not in (None, self._image)

    def begin(self, known: Iterable[tuple[ServiceKey, Told]]) -> None:
        """`known` are all that follow the image, as they were told of last."""
        for key, told in known:
            if self._seen is not None and key not in self._seen and is_on_its_way(told, self._image):
                self._moving.setdefault(key, _has_failed(told, self._image))
        self._seen = None

    def why_it_waits(self, key: ServiceKey, now: str | None, told: Told) -> str | None:
        """Why a service that runs the stock image `now` is to stay with it; None where it goes over, or has.
        One that fails with what it runs waits for nobody."""
        moving = self._moving
        if now is None or now == self._image or (_fails(told) and key not in moving):
            self._waiting.pop(key, None)
            return None
        down = None if key in moving else _down_for_another_reason(told)
        if key in moving or (len(moving) < self._most and down is None):
            self._waiting.pop(key, None)
            moving.setdefault(key, False)
            return None
        self._waiting[key] = None
        if down is not None:
            return (
                f"replicas run {now} until one takes work again ({down}), and go over to {self._image} then: "
                "with that neither would tell of the other"
            )
        failed = self.count("failed")
        words = f", {failed} of which failed with it" if failed else ""
        return (
            f"replicas run {now} until it is their turn for {self._image}: as many services as may be at a"
            f" time, {len(moving)}, are on their way to it{words}; spec.runtimeVersion keeps a version"
        )

    def saw(self, key: ServiceKey, told: Told) -> None:
        """The status of a service that follows the image and was reconciled."""
        if self._seen is not None:
            self._seen.add(key)
        if not is_on_its_way(told, self._image):
            if key in self._moving:
                self._arrived(key)
            return
        has_failed = _has_failed(told, self._image)
        if has_failed and not self._moving.get(key):
            log.warning("stock_rollouts.failed", service=f"{key.namespace}/{key.name}", image=self._image)
        self._moving[key] = has_failed

    def forget(self, key: ServiceKey) -> None:
        """It is gone, or follows the operator's image no more."""
        if self._seen is not None:
            self._seen.add(key)
        self._waiting.pop(key, None)
        if key in self._moving:
            self._arrived(key)

    def _arrived(self, key: ServiceKey) -> None:
        del self._moving[key]
        following = next(iter(self._waiting), None)
        if following is not None:
            # Where it can't go over it keeps the others no longer than until the next has arrived.
            self._waiting[following] = self._waiting.pop(following)
            self._wake(following)
