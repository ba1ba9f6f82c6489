"""A value found in the cache, and how long a value lives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Found:
    """A cached value."""

    value: Any
    fresh: bool = True
    due: bool = False
    """Whether it may already be recomputed."""


@dataclass(frozen=True, slots=True)
class Life:
    """How many seconds a value is fresh, and for how many more it may be returned while one caller recomputes
    it."""

    fresh_seconds: float
    stale_seconds: float = 0.0
    ahead: bool = False
    """Whether a caller that finds it can recompute it before it expires."""
