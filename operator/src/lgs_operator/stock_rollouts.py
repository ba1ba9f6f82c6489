"""Decides whose turn it is to go over to another stock image. Only some services do at a time, so that an
image that does not work reaches few of them. Acts on nothing, but remembers which services are on their way.
Nobody has a turn before `begin` told it of all services, because a starting operator hears of services one by
one.

A service is on its way until all its replicas run the image, and stays so for good if that failed: a service
that comes up with the image makes room for the next; one that does not stops the others.
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
"""The status of a service, as last reported."""
STATES: Final = ("moving", "failed", "waiting")
"""The states in which services are counted."""
WORKED: Final = frozenset({"Ready", "Replaced"})
OF_NO_IMAGE: Final = DATABASE_REASONS | {"Unschedulable"}
"""Reasons for which a service that had come up takes no work, without any fault of the image."""


def stock_image_now(key: ServiceKey, live: Mapping[Key, Manifest]) -> str | None:
    """The stock image that new pods of a service run; None if they run none, or it is unknown."""
    current = current_revision(live.get(Key(DEPLOYMENT, *key)))
    found = next((each for each in history_of(live) if number_of(each) == current), None)
    return None if found is None else found["data"].get("stockImage")


def is_on_its_way(told: Told, image: str) -> bool:
    """Whether a service that ran another image is going over to this one, or failed to. What it releases
    itself after it came up with the image is its own matter."""
    released, revisions = _released_with(told, image), told.get("revisions") or []
    if released is None or not any(each.get("image") != image and _worked(each) for each in revisions):
        return False
    # a revision that is gone back to keeps its old number
    others = (each for each in revisions if each is not released)
    since = takewhile(lambda each: each.get("image") == image, others)
    if any(each.get("state") == "Ready" for each in since):
        return False
    state, number = released.get("state"), released["revision"]
    if state == "Failed" or _canary(told) == number:
        return True
    if told.get("revision") != number:
        return bool(state == "Progressing")
    # a revision without replicas is complete although none was ever ready
    status, reason = _progressing(told)
    return reason != "Complete" and (state == "Progressing" or (state == "Ready" and status == "True"))


def _released_with(told: Told, image: str) -> Mapping[str, Any] | None:
    """The revision with this image that is a canary, or is run, or was released last and taken back; None if
    those have another image."""
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
    """Why no replica takes work, if no image would mend that: meanwhile the service would occupy a place
    among those on their way. None if a replica takes work, or an image may mend it."""
    conditions: Iterable[Mapping[str, Any]] = told.get("conditions") or []
    found = next((each for each in conditions if each.get("type") == "Ready"), {})
    reason = str(found.get("reason"))
    return reason if found.get("status") == "False" and reason in OF_NO_IMAGE else None


def _progressing(told: Told) -> tuple[str, str]:
    """The status and the reason of the condition `Progressing`."""
    found = (each for each in told.get("conditions") or [] if each.get("type") == "Progressing")
    return next(((each.get("status", ""), each.get("reason", "")) for each in found), ("", ""))


class StockRollouts:
    """Gives turns: `most` services at a time go over to `image`. `wake` is called with a service that may
    have its turn now."""

    def __init__(self, image: str, most: int, wake: Callable[[ServiceKey], None]) -> None:
        self._image = image
        self._most = most
        self._wake = wake
        self._moving: dict[ServiceKey, bool] = {}
        """The services on their way, and whether they failed."""
        self._waiting: dict[ServiceKey, None] = {}
        self._seen: set[ServiceKey] | None = set()
        """Services that were reconciled before `begin`, about which more is known than it is told; None after
        it."""

    def count(self, state: str) -> int:
        """How many services are `moving`, have `failed` or are `waiting`."""
        known, failed = len(self._moving), sum(self._moving.values())
        return {"moving": known - failed, "failed": failed, "waiting": len(self._waiting)}[state]

    def is_due(self, now: str | None) -> bool:
        """Whether a service that runs the stock image `now` must go over, and `begin` has not been called
        yet."""
        return self._seen is not None and now not in (None, self._image)

    def begin(self, known: Iterable[tuple[ServiceKey, Told]]) -> None:
        """Starts to give turns. `known` are all services that follow the image, each with its last status."""
        for key, told in known:
            if self._seen is not None and key not in self._seen and is_on_its_way(told, self._image):
                self._moving.setdefault(key, _has_failed(told, self._image))
        self._seen = None

    def why_it_waits(self, key: ServiceKey, now: str | None, told: Told) -> str | None:
        """Why a service that runs the stock image `now` must stay with it; None if it goes over now, or
        already has. A service that fails with its current image does not wait."""
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
        """Takes the status of a reconciled service that follows the image."""
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
        """Forgets a service that is gone, or no longer follows the operator's image."""
        if self._seen is not None:
            self._seen.add(key)
        self._waiting.pop(key, None)
        if key in self._moving:
            self._arrived(key)

    def _arrived(self, key: ServiceKey) -> None:
        del self._moving[key]
        following = next(iter(self._waiting), None)
        if following is not None:
            # A service that can't go over holds up the others only until the next one has arrived.
            self._waiting[following] = self._waiting.pop(following)
            self._wake(following)
