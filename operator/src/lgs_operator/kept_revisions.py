"""Which old revisions are kept for what is pinned to them, and when they end. Pure.

Each has a Deployment of its own beside the service's, which is its only memory: it is made when another
revision takes its place, so its age is the time for which the revision has been an old one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from lgs_crds import LangGraphService
from lgs_crds.model.rollout import Rollout
from lgs_crds.status import PinnedStatus, Status
from lgs_operator.kube.kinds import Manifest
from lgs_operator.kube.pods import is_going, moment
from lgs_operator.status.canary import works

SETTLED_SECONDS: Final = 30.0
"""For how long nothing must have been pinned to a revision until its replicas go: counts are some seconds
old."""
Why = Literal["idle", "withdrawn", "too old", "too many", "not pinned"]


@dataclass(frozen=True)
class Ending:
    """A kept revision that ends now. `left`: what was pinned to it when replicas counted last."""

    number: int
    why: Why
    left: PinnedStatus | None = None

    @property
    def moves(self) -> bool:
        """Whether something pinned to it has to go on with another revision."""
        return self.why != "idle" and self.left is not None and bool(self.left.threads or self.left.runs)


@dataclass(frozen=True)
class Kept:
    """Which old revisions are kept, newest first, and which end now."""

    numbers: tuple[int, ...] = ()
    endings: tuple[Ending, ...] = ()


@dataclass(frozen=True)
class Running:
    """What runs: the service's own replicas run, or begin to run, revision `released`, and have run `current`
    until now; `there` are the Deployments of kept revisions, by number."""

    released: int
    current: int | None
    there: Mapping[int, Manifest]


def kept_now(service: LangGraphService, running: Running, before: Status, now: datetime) -> Kept:
    """Which old revisions are kept. `before` is the status as last reported."""
    rollout, released, current, there = service.spec.rollout, running.released, running.current, running.there
    told = {each.revision: each for each in before.pinned or ()}
    numbers = set(there)
    if rollout.strategy == "Pinned" and current is not None and current != released:
        # Replicas that never worked have begun nothing, and those of a runtime without pins would take
        # everything.
        pins = any(each.revision == current and each.pins for each in before.revisions)
        numbers |= {current} if pins and works(current, before) else set()
    endings, stay = [], []
    for number in sorted(numbers - {released}, reverse=True):
        since = moment(there[number]["metadata"].get("creationTimestamp", "")) if number in there else None
        state = next((each.state for each in before.revisions if each.revision == number), None)
        was_withdrawn = state == "Failed" or number > (rollout.revision or number)
        why = "withdrawn" if was_withdrawn else _why_it_ends(rollout, since, told.get(number), now)
        if why is None:
            stay.append((since or now, number))
        elif number in there and not is_going(there[number]):
            endings.append(Ending(number, why, told.get(number)))
    stay.sort(reverse=True)
    most = rollout.pinned_revisions
    many = [number for _, number in stay[most:] if number in there and not is_going(there[number])]
    endings += [Ending(number, "too many", told.get(number)) for number in many]
    return Kept(tuple(number for _, number in stay[:most]), tuple(endings))


def _why_it_ends(
    rollout: Rollout, since: datetime | None, told: PinnedStatus | None, now: datetime
) -> Why | None:
    if rollout.strategy != "Pinned":
        return "not pinned"
    idle = moment(told.idle_since) if told is not None and told.idle_since else None
    if (
        idle is not None
        and since is not None
        and now - max(idle, since) >= timedelta(seconds=SETTLED_SECONDS)
    ):
        return "idle"
    if since is not None and now - since >= timedelta(seconds=rollout.pinned_seconds):
        return "too old"
    return None


def words_of(ending: Ending, rollout: Rollout, released: int) -> str:
    """What the Event of an ending says."""
    because = {
        "idle": "nothing is pinned to it any more",
        "withdrawn": "it was withdrawn",
        "too old": f"it has been kept for spec.rollout.pinnedSeconds ({rollout.pinned_seconds} s)",
        "too many": f"{rollout.pinned_revisions} newer ones are kept (spec.rollout.pinnedRevisions)",
        "not pinned": "spec.rollout.strategy is not Pinned any more",
    }[ending.why]
    words = f"the replicas of revision {ending.number} end: {because}"
    if not ending.moves or ending.left is None:
        return words
    threads, runs = ending.left.threads or 0, ending.left.runs or 0
    return f"{words}; {threads} threads and {runs} runs that are pinned to it go on with revision {released}"
