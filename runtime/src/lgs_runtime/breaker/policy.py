"""When a circuit opens, and when it closes again. Durations in seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

LONGEST_SECONDS = 86400.0
MOST_CALLS = 1_000_000
MOST_PROBES = 1000


class InvalidPolicy(ValueError):
    """A value that can't work; the message is `name: value: rule`."""

    def __init__(self, name: str, value: object, rule: str) -> None:
        super().__init__(f"{name}: {value!r}: {rule}")
        self.name = name
        self.value = value
        self.rule = rule


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings of a circuit. Raises `InvalidPolicy`."""

    failure_threshold: float = 0.1
    """Share of the calls of the window that must have failed for the circuit to open."""
    minimum_calls: int = 10
    """Fewest calls in the window for a decision."""
    window_seconds: float = 60.0
    recovery_timeout: float = 30.0
    """Seconds for which the circuit stays open, and for which a probe that does not come back keeps its
    place."""
    probes: int = 3
    """How many calls are let through while it is half-open; their results decide."""
    slow_call_seconds: float | None = None
    """A call that takes at least this many seconds is slow. None: time does not matter."""
    slow_call_threshold: float = 0.5
    """Share of the calls of the window that must have been slow for the circuit to open."""

    def __post_init__(self) -> None:
        for name in ("failure_threshold", "slow_call_threshold"):
            check_number(name, getattr(self, name), most=1.0, hint="; it is a share of the calls")
        for name in ("window_seconds", "recovery_timeout"):
            check_number(name, getattr(self, name), most=LONGEST_SECONDS)
        if self.slow_call_seconds is not None:
            check_number("slow_call_seconds", self.slow_call_seconds, most=LONGEST_SECONDS)
        check_count("minimum_calls", self.minimum_calls, most=MOST_CALLS)
        check_count("probes", self.probes, most=MOST_PROBES)


def check_number(name: str, value: object, *, most: float, hint: str = "") -> None:
    """Raises `InvalidPolicy` unless the value is above 0 and at most `most`."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or (isinstance(value, float) and math.isnan(value)):
        raise InvalidPolicy(name, value, f"must be a number{hint}")
    if not 0 < value <= most:  # type: ignore[operator]
        raise InvalidPolicy(name, value, f"must be above 0 and at most {most:g}{hint}")


def check_count(name: str, value: object, *, most: int) -> None:
    """Raises `InvalidPolicy` unless the value is a whole number of at least 1 and at most `most`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidPolicy(name, value, "must be a whole number")
    if not 1 <= value <= most:
        raise InvalidPolicy(name, value, f"must be at least 1 and at most {most}")


DEFAULT: Final = Policy()
