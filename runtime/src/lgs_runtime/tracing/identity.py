"""The ids of a run's trace, which every replica derives from the run itself, so that one replica can continue
the trace of another without asking it.

Random ids would have to be stored somewhere. The ids of runs are not random enough to be trace ids: the
sampler decides by the last 64 bits, whose first two are the same in all UUIDs.
"""

from __future__ import annotations

from hashlib import sha256

from lgs_runtime.model import Run


def trace_id_of(run_id: str) -> int:
    """The trace id of a run whose client sent none: 128 bits, not zero."""
    return _digest("trace", run_id, size=16)


def root_id_of(run_id: str) -> int:
    """The id of the run's root span, which all others are under: 64 bits, not zero."""
    return _digest("run", run_id, size=8)


def attempt_id_of(run: Run) -> int:
    """The span id of the run's present attempt, or of its last one if it has none.

    An attempt that was handed back is not charged, so the next one has the same number: from then on the time
    of the claim tells them apart.
    """
    claimed = str(run.claimed_at) if run.handed_back else ""
    return _digest("attempt", run.run_id, str(run.attempt), claimed, size=8)


def earlier_attempt_id_of(run: Run) -> int | None:
    """The span id of the attempt that this one continues; None for the first.

    That is the previous attempt, if it was lost with its replica; if attempts were handed back, the first
    one.
    """
    if run.attempt <= 1 and not run.handed_back:
        return None
    earlier = 1 if run.handed_back else run.attempt - 1
    return _digest("attempt", run.run_id, str(earlier), "", size=8)


def _digest(*said: str, size: int) -> int:
    return int.from_bytes(sha256("\0".join(said).encode()).digest()[:size]) or 1
