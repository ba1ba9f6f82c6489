"""Which replicas take a thread's runs while a canary is running: its own or the others. Pure functions;
`docs/queue.md` explains the rule.

A canary is a release that takes a share of the threads while another release takes the rest. A thread is in
one of a hundred buckets, computed from its id and the name of the release. Its bucket stays the same as long
as the release lasts, so the thread does not move to and fro. SQLite calls these functions, PostgreSQL says
the same in its statements, and one test suite holds both to it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

BUCKETS: Final = 100


@dataclass(frozen=True, slots=True)
class Member:
    """A replica that claims runs. `share`: how many buckets of threads it takes as a canary; None: it is no
    canary. `graphs`: the graphs whose runs it takes; None: any."""

    revision: str | None
    share: int | None
    graphs: Collection[str] | None


@dataclass(frozen=True, slots=True)
class Part:
    """What a replica takes of the runs whose graph it has: those of threads in the buckets from `low` to
    below `high`, and all runs of graphs that are not among `others`, the graphs that the other side takes.
    `others` None: the other side takes any graph."""

    salt: str
    low: int
    high: int
    others: Sequence[str] | None


def part_of(asker: Member, fleet: Collection[Member]) -> Part | None:
    """What `asker` takes beside the rest of the `fleet`; None: everything. A replica of the canary's release
    that is no canary takes everything: it is what the canary becomes."""
    canary = max(
        (each for each in fleet if each.share is not None),
        key=lambda each: (each.share, each.revision or ""),
        default=None,
    )
    if canary is None or canary.share is None:
        return None
    is_canary = asker.share is not None
    if not is_canary and asker.revision is not None and asker.revision == canary.revision:
        return None
    others = [each for each in fleet if _is_other(each, canary, to_canary=is_canary)]
    low, high = (0, canary.share) if is_canary else (canary.share, BUCKETS)
    return Part(canary.revision or "", low, high, _together(others))


def _is_other(each: Member, canary: Member, *, to_canary: bool) -> bool:
    """Whether `each` is on the other side: it takes what the canary's replicas (`to_canary`) or the rest
    leave."""
    if to_canary:
        return each.share is None
    return each.share is not None or (each.revision is not None and each.revision == canary.revision)


def _together(members: Collection[Member]) -> Sequence[str] | None:
    """The graphs that at least one of the members takes; None: any."""
    graphs: set[str] = set()
    for each in members:
        if each.graphs is None:
            return None
        graphs.update(each.graphs)
    return sorted(graphs)


def bucket(salt: str, thread_id: str) -> int:
    """The thread's bucket, from 0, while the release named `salt` is a canary."""
    return int.from_bytes(sha256(f"{salt}{thread_id}".encode()).digest()[:2], "big") % BUCKETS


def takes(part: Part | None, graph_id: str | None, thread_id: str) -> bool:
    """Whether a replica that has the graph takes a run of this graph and thread."""
    if part is None:
        return True
    if part.others is not None and (not part.others or graph_id not in (None, *part.others)):
        return True
    return part.low <= bucket(part.salt, thread_id) < part.high
