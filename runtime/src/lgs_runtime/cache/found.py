"""A value as the cache answers it, and for how long one lives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Found:
    """A value that is cached."""

    value: Any
    fresh: bool = True
    due: bool = False
    """Whether it may be computed anew already."""


@dataclass(frozen=True, slots=True)
class Life:
    """For how many seconds a value is fresh, and for how many more it may be answered while one caller
    computes it anew."""

    fresh_seconds: float
    stale_seconds: float = 0.0
    ahead: bool = False
    """Whether a caller that finds it can compute it anew, before its time is up."""
