"""Whether replicas had room to run, since a release that never ran has not failed. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from lgs_operator.desired.revision import revision_of
from lgs_operator.kube.kinds import Manifest
from lgs_operator.kube.pods import created_at, has_node_since, is_going, moment
from lgs_operator.status.diagnosis import Budget, diagnose_pod
from lgs_operator.status.rollout import late_since, refused_pods, seconds_past

NO_ROOM: Final = frozenset({"QuotaExceeded", "SchedulingGated", "Unschedulable"})
"""Reasons why a replica can't run for want of room in the namespace or on the nodes."""


def lacks_room(deployment: Manifest | None, pods: Iterable[Manifest]) -> bool:
    """Whether one of these pods can't be created, or has no node, for want of room."""
    whys = [refused_pods(deployment, ""), *(diagnose_pod(pod, Budget()) for pod in pods)]
    return any(why is not None and why.reason in NO_ROOM for why in whys)


def had_its_time(
    deployment: Manifest | None, pods: Iterable[Manifest], revision: int | None, now: datetime
) -> bool:
    """Whether a late rollout may be blamed on the revision: one of its replicas in `pods` had room, and got
    it before the rollout was late, or has had it for as long as a rollout may take. Without such replicas:
    none was refused for want of room."""
    own = [pod for pod in pods if revision_of(pod) == revision and not is_going(pod)]
    if not own:
        return not lacks_room(deployment, ())
    late, deadline = late_since(deployment), seconds_past(deployment) or 0

    def had(pod: Manifest) -> bool:
        since = has_node_since(pod) or moment(created_at(pod))
        is_new = late is not None and since is not None and since > late
        is_new = is_new and since is not None and (now - since).total_seconds() < deadline
        return not is_new and not lacks_room(None, (pod,))

    return any(map(had, own))
