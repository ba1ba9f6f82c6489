"""The values that every storage uses for the versions of threads and for their audit trail.

A version is stored with the end of its run (`Queue.finish`), or by `Versions.add`; its number is one more
than the newest the thread ever had. Part of the `Storage`; raises and promises as the rest of the contract
does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from lgs_runtime.model import Json, Outcome, ThreadStatus, Version

MAKES_VERSION: Final = ("success", "interrupted")
"""The statuses in which a run's end makes a version of its thread: the state may be wanted back."""


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A version that no run makes: saved by hand, or rolled back to.

    With `values`, the thread's record takes over the state of the version's checkpoint (`values`,
    `interrupts`, `status`), which is then the latest checkpoint; without, the record stays as it is.
    """

    thread_id: str
    checkpoint_id: str
    interrupts: Json = field(default_factory=dict)
    description: str | None = None
    metadata: Json = field(default_factory=dict)
    values: Json | None = None
    status: ThreadStatus = "idle"


@dataclass(frozen=True, slots=True)
class PrunedVersions:
    """What pruning a thread's versions did."""

    deleted: int
    oldest: str | None
    """The oldest checkpoint that a version still names (in the order of checkpoint ids); None: there is
    none."""


def checkpoint_of(outcome: Outcome) -> str | None:
    """The checkpoint that becomes a version when a run ends with this outcome; None: no version is made."""
    return outcome.checkpoint_id if outcome.status in MAKES_VERSION else None


def entry_of(version: Version) -> tuple[str, Json]:
    """The audit entry, its name and details, of a version that no run made."""
    named: dict[str, object] = {"version": version.version, "checkpoint_id": version.checkpoint_id}
    if "rollback_from" not in version.metadata:
        return "version.saved", named
    return "version.rolled_back", {**named, "rollback_from": version.metadata["rollback_from"]}
