"""Which runs are traced. Pure, and the same on every replica."""

from __future__ import annotations

from typing import Final

LAST_64_BITS: Final = (1 << 64) - 1


def is_sampled(trace_id: int, ratio: float) -> bool:
    """Whether a trace belongs to the sampled share `ratio`, by OpenTelemetry's rule `TraceIdRatioBased`."""
    return (trace_id & LAST_64_BITS) < round(ratio * (LAST_64_BITS + 1))
