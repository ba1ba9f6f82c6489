"""Reports an attempt to its run's trace; does nothing if runs are not traced."""

from __future__ import annotations

from typing import Final

import structlog

from lgs_runtime.model import Outcome
from lgs_runtime.worker.attempt import Attempt, HandBack

FAILED: Final = ("error", "timeout")


def trace_begin(attempt: Attempt) -> None:
    """Begins an attempt: what its task does and logs from now on belongs to the trace."""
    if attempt.trace is not None:
        structlog.contextvars.bind_contextvars(trace_id=attempt.trace.trace_id)
        attempt.trace.enter()


def trace_end(attempt: Attempt, left: Outcome | HandBack) -> None:
    """Ends the attempt's span, unless the run belongs to another replica by now, which reports it."""
    if attempt.trace is None or left is HandBack.DROP:
        return
    if isinstance(left, Outcome):
        attempt.trace.ended(left.status, attempt.raised, failed=left.status in FAILED)
    else:
        attempt.trace.ended("handed_back")


def trace_close(attempt: Attempt) -> None:
    """Closes the trace of an attempt, however it ended."""
    if attempt.trace is not None:
        attempt.trace.close()
