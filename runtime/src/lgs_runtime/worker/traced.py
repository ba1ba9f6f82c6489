"""What the trace of a run gets to know of an attempt; nothing where runs are not traced."""

from __future__ import annotations

from typing import Final

import structlog

from lgs_runtime.model import Outcome
from lgs_runtime.worker.attempt import Attempt, HandBack

FAILED: Final = ("error", "timeout")


def trace_begin(attempt: Attempt) -> None:
    """The attempt's task begins: what it does and logs belongs to the trace from now on."""
    if attempt.trace is not None:
        structlog.contextvars.bind_contextvars(trace_id=attempt.trace.trace_id)
        attempt.trace.enter()


def trace_end(attempt: Attempt, left: Outcome | HandBack) -> None:
    """Sends the attempt's span; not where the run is another replica's by now, which tells of it."""
    if attempt.trace is None or left is HandBack.DROP:
        return
    if isinstance(left, Outcome):
        attempt.trace.ended(left.status, attempt.raised, failed=left.status in FAILED)
    else:
        attempt.trace.ended("handed_back")


def trace_close(attempt: Attempt) -> None:
    """The attempt is over, however it went."""
    if attempt.trace is not None:
        attempt.trace.close()
