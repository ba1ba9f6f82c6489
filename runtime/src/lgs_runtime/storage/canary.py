"""Which threads' runs the replicas of a canary take, and which the others, as pure functions. `docs/queue.md`
explains the rule.

A canary is a release that takes a share of the threads while another one takes the rest. A thread is in one
of a hundred buckets, by its id and the name of the release: in the same one as long as the release lasts, so
that it does not go to and fro. SQLite calls these functions, PostgreSQL says the same in its statements, and
one suite holds both to it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

BUCKETS: Final = 100


@dataclass(frozen=True, slots=True)
class Member:
    """A replica that claims runs: of the threads of so many buckets as a canary, or of the others (None).
    `graphs` are those that it takes; None: any."""

    revision: str | None
    share: int | None
    graphs: Collection[str] | None


@dataclass(frozen=True, slots=True)
class Part:
    """What a replica takes of the runs whose graph it has: those of threads in the buckets from `low` to
    below `high`, and all of graphs that are not among `others`, which nobody else takes. None: others take
    any."""

    salt: str
    low: int
    high: int
    others: Sequence[str] | None


def part_of(asker: Member, fleet: Collection[Member]) -> Part | None:
    """What `asker` takes beside the rest of the `fleet`; None: all. A replica of the canary's release that is
    no canary takes all: it is what the canary becomes."""
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
    """Whether it takes what the canary's replicas, or those that are none, leave."""
    if to_canary:
        return each.share is None
    return each.share is not None or (each.revision is not None and each.revision == canary.revision)


def _together(members: Collection[Member]) -> Sequence[str] | None:
    """The graphs that some of them take; None: any."""
    graphs: set[str] = set()
    for each in members:
        if each.graphs is None:
            return None
        graphs.update(each.graphs)
    return sorted(graphs)


def bucket(salt: str, thread_id: str) -> int:
    """The bucket of a thread, from 0, while the release of this name is a canary."""
    return int.from_bytes(sha256(f"{salt}{thread_id}".encode()).digest()[:2], "big") % BUCKETS


def takes(part: Part | None, graph_id: str | None, thread_id: str) -> bool:
    """Whether a run of this graph and thread is among what a replica takes that has the graph."""
    if part is None:
        return True
    if part.others is not None and (not part.others or graph_id not in (None, *part.others)):
        return True
    return part.low <= bucket(part.salt, thread_id) < part.high
