"""Whether replicas had room to run: a release that never ran has not failed. Pure."""

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
"""Why a replica can't be: what there is of the namespace or of the nodes is in use."""


def lacks_room(deployment: Manifest | None, pods: Iterable[Manifest]) -> bool:
    """One of these pods can't be made or has no node, for want of room."""
    whys = [refused_pods(deployment, ""), *(diagnose_pod(pod, Budget()) for pod in pods)]
    return any(why is not None and why.reason in NO_ROOM for why in whys)


def had_its_time(
    deployment: Manifest | None, pods: Iterable[Manifest], revision: int | None, now: datetime
) -> bool:
    """Whether it says something of a revision that its rollout is late: its replicas, of those in `pods`, had
    room, and that not only since it is late and for less time than a rollout may take."""
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
