"""Loads for the scaling stories: steps, and the published conversation trace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lgs_operator.simulate.record import Job
from lgs_operator.simulate.trace import read_trace

TRACE = Path(__file__).parent / "traces" / "azure_llm_conversation_2023.csv"


def steps(*levels: tuple[float, float]) -> Callable[[float], float]:
    """A rate that is `level` from `since` on, for each (since, level)."""
    return lambda at: next(level for since, level in reversed(levels) if at >= since)


def conversation() -> list[Job]:
    """The conversation trace: about an hour, with 0.5 s and 0.03 s for each generated token."""
    return list(read_trace(TRACE).jobs)
