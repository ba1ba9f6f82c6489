"""What the status says of the old revisions that are kept for what is pinned to them. Pure."""

from __future__ import annotations

from datetime import datetime

from lgs_crds.status import MOST_KEPT, PinnedStatus, Status, timestamp
from lgs_operator.desired.revision import revision_of
from lgs_operator.kube.pods import is_ended
from lgs_operator.status.observed import ObservedService
from lgs_operator.status.scaling import ScalingView


def pinned_status(
    view: ObservedService, scaling: ScalingView, before: Status, now: datetime
) -> list[PinnedStatus] | None:
    """The kept revisions, newest first; None without any. `before` is the status reported last: its counts
    stand as long as no replica tells."""
    known = {each.revision: each for each in before.pinned or ()}
    own = {revision_of(pod) for pod in view.pods if not is_ended(pod)}
    found = []
    for number, deployment in sorted(view.kept.items(), reverse=True)[:MOST_KEPT]:
        seen, was = view.of_kept(number), known.get(number)
        threads, runs = None if was is None else was.threads, None if was is None else was.runs
        if scaling.pinned is not None:
            threads, runs = scaling.pinned.get(number, (0, 0))
        # replicas of the service's own that still run it may pin further threads to it
        is_idle = scaling.pinned is not None and not (threads or runs) and number not in own
        since = was.idle_since if was is not None and was.idle_since else timestamp(now)
        if scaling.pinned is None and was is not None and was.idle_since and number not in own:
            is_idle = True
        found.append(
            PinnedStatus(
                revision=number,
                replicas=seen.desired,
                ready_replicas=seen.ready,
                threads=threads,
                runs=runs,
                since=deployment["metadata"].get("creationTimestamp"),
                idle_since=since if is_idle else None,
            )
        )
    return found or None
