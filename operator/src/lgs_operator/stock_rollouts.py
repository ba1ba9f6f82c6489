"""Whose turn it is to go over to another stock image: only so many services do at a time, so that an image
that does not work reaches few of them. Acts on nothing; it remembers who is on the way.

A service is on its way until all its replicas run the image, and for good where that failed: who comes up
with it makes room for the next, who does not, stops the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import structlog

from lgs_operator.desired.revision import history_of, number_of
from lgs_operator.kube.kinds import DEPLOYMENT, Key, Manifest, ServiceKey
from lgs_operator.status.revisions import current_revision

log = structlog.get_logger(__name__)
Told = Mapping[str, Any]
"""The status of a service, as it was reported last."""
STATES: Final = ("moving", "failed", "waiting")
"""What a service is counted as."""
WORKED: Final = frozenset({"Ready", "Replaced"})


def stock_image_now(key: ServiceKey, live: Mapping[Key, Manifest]) -> str | None:
    """The stock image that new pods of a service run; None where they run none, or nobody knows."""
    current = current_revision(live.get(Key(DEPLOYMENT, *key)))
    found = next((each for each in history_of(live) if number_of(each) == current), None)
    return None if found is None else found["data"].get("stockImage")


def is_on_its_way(told: Told, image: str) -> bool:
    """A service that ran another image goes over to this one, or has failed to. What it released itself once
    it had come up with it is its own matter."""
    revisions = told.get("revisions") or []
    of_it = [each for each in revisions if each.get("image") == image]
    ran_another = any(each.get("image") != image and each.get("state") in WORKED for each in revisions)
    if not of_it or not ran_another or any(each.get("state") == "Ready" for each in of_it[1:]):
        return False
    newest, state = of_it[0], of_it[0].get("state")
    if state == "Failed" or (told.get("canary") or {}).get("revision") == newest["revision"]:
        return True
    if told.get("revision") != newest["revision"]:
        return bool(state == "Progressing")
    # one that is to have no replicas is complete without any that was ready
    status, reason = _progressing(told)
    return reason != "Complete" and (state == "Progressing" or (state == "Ready" and status == "True"))


def _has_failed(told: Told, image: str) -> bool:
    newest = next(each for each in told["revisions"] if each.get("image") == image)
    return bool(newest.get("state") == "Failed")


def _fails(told: Told) -> bool:
    revisions, current = told.get("revisions") or [], told.get("revision")
    return any(each.get("revision") == current and each.get("state") == "Failed" for each in revisions)


def _progressing(told: Told) -> tuple[str, str]:
    """The status of the condition, and its reason."""
    found = (each for each in told.get("conditions") or [] if each.get("type") == "Progressing")
    return next(((each.get("status", ""), each.get("reason", "")) for each in found), ("", ""))


class StockRollouts:
    """`most` services at a time go over to `image`. `known` are those that follow it, asked for once; `wake`
    is called with one that may have its turn now."""

    def __init__(
        self,
        image: str,
        most: int,
        known: Callable[[], Iterable[tuple[ServiceKey, Told]]],
        wake: Callable[[ServiceKey], None],
    ) -> None:
        self._image = image
        self._most = most
        self._known = known
        self._wake = wake
        self._moving: dict[ServiceKey, bool] | None = None
        """Those on their way, and whether they failed."""
        self._waiting: dict[ServiceKey, None] = {}

    def count(self, state: str) -> int:
        """How many are `moving`, have `failed` or are `waiting`."""
        known, failed = len(self._moving or {}), sum((self._moving or {}).values())
        return {"moving": known - failed, "failed": failed, "waiting": len(self._waiting)}[state]

    def why_it_waits(self, key: ServiceKey, now: str | None, told: Told) -> str | None:
        """Why a service that runs the stock image `now` is to stay with it; None where it goes over, or has.
        One that fails with what it runs waits for nobody."""
        moving = self._on_their_way()
        if now is None or now == self._image or (_fails(told) and key not in moving):
            self._waiting.pop(key, None)
            return None
        if key in moving or len(moving) < self._most:
            self._waiting.pop(key, None)
            moving.setdefault(key, False)
            return None
        self._waiting[key] = None
        failed = self.count("failed")
        words = f", {failed} of which failed with it" if failed else ""
        return (
            f"replicas run {now} until it is their turn for {self._image}: as many services as may be at a"
            f" time, {len(moving)}, are on their way to it{words}; spec.runtimeVersion keeps a version"
        )

    def saw(self, key: ServiceKey, told: Told) -> None:
        """The status of a service that was reconciled."""
        moving = self._on_their_way()
        if key not in moving:
            return
        if not is_on_its_way(told, self._image):
            self._arrived(key)
            return
        has_failed = _has_failed(told, self._image)
        if has_failed and not moving[key]:
            log.warning("stock_rollouts.failed", service=f"{key.namespace}/{key.name}", image=self._image)
        moving[key] = has_failed

    def forget(self, key: ServiceKey) -> None:
        """It is gone, or follows the operator's image no more."""
        self._waiting.pop(key, None)
        if key in (self._moving or {}):
            self._arrived(key)

    def _arrived(self, key: ServiceKey) -> None:
        del self._on_their_way()[key]
        following = next(iter(self._waiting), None)
        if following is not None:
            self._wake(following)

    def _on_their_way(self) -> dict[ServiceKey, bool]:
        if self._moving is None:
            known = ((key, told) for key, told in self._known() if is_on_its_way(told, self._image))
            self._moving = {key: _has_failed(told, self._image) for key, told in known}
        return self._moving
