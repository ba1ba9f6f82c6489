"""Turns a knob of the cache up while the hit rate is below its usual level, and back when it has recovered,
or when even the highest setting does not help. Pure: each window of lookups is a step."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Final

LOOKUPS: Final = 200
"""Fewest lookups of a window: fewer give no rate."""
SETTLING: Final = 3
"""Windows before the first judgement: the rate of a cache that is filling has not fallen."""
FALL: Final = 0.03
"""A rate this far below its usual level has fallen, unless that may be chance."""
DEVIATIONS: Final = 3.0
MEMORY: Final = 0.1
"""Weight of the newest window in the usual rate."""
PATIENCE: Final = 5
"""Windows in which a knob at its highest level has to show that it helps."""
HOLD: Final = 30
"""Windows for which a knob that did not help is left alone."""
STABLE: Final = (5, 40)
"""Windows without a fall after which a knob is turned back by one level. The number is doubled each time that
was too soon, up to the second value."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn of the knob to a level, and why."""

    level: int
    why: str


@dataclass(slots=True)
class Tuner:
    """One knob with levels from 0, where it starts, to `highest`."""

    highest: int
    level: int = 0
    past: float | None = None
    """The usual hit rate."""
    seen: int = 0
    tried: int = 0
    """Windows at the highest level without a recovery."""
    hold: int = 0
    stable: int = 0
    patience: int = STABLE[0]
    """Stable windows to wait for before turning back."""
    turned_back: bool = False
    """Whether the last turn was one back."""

    def step(self, hits: int, lookups: int) -> Turn | None:
        """Evaluates a window that has passed; returns the turn that it calls for, if any."""
        if lookups < LOOKUPS:
            return None
        rate, self.seen = hits / lookups, self.seen + 1
        if self.past is None or self.seen <= SETTLING:
            self.past = rate
            return None
        past, self.hold = self.past, max(0, self.hold - 1)
        chance = DEVIATIONS * sqrt(max(past * (1.0 - past), 0.01) / lookups)
        if rate >= past - max(FALL, chance):
            self._learn(rate)
            return self._back(rate)
        self.stable = 0
        if self.hold:
            self._learn(rate)
            return None
        return self._up(rate, past)

    def _learn(self, rate: float) -> None:
        assert self.past is not None
        self.past += MEMORY * (rate - self.past)

    def _up(self, rate: float, past: float) -> Turn | None:
        if self.level < self.highest:
            if self.turned_back:
                self.patience = min(2 * self.patience, STABLE[1])
            self.level, self.tried, self.turned_back = self.level + 1, 0, False
            return Turn(self.level, f"the hit rate fell to {rate:.2f} from {past:.2f}")
        self.tried += 1
        if self.tried < PATIENCE or self.level == 0:
            if self.level == 0:
                self._learn(rate)
            return None
        # The load is another now: what is usual is learned anew.
        self.level, self.hold, self.past, self.tried = 0, HOLD, rate, 0
        return Turn(0, f"it did not help: the hit rate is {rate:.2f}, and was {past:.2f}")

    def _back(self, rate: float) -> Turn | None:
        self.tried, self.stable = 0, self.stable + 1
        if self.level == 0 or self.stable < self.patience:
            return None
        self.level, self.stable, self.turned_back = self.level - 1, 0, True
        return Turn(self.level, f"the hit rate is {rate:.2f} again, which is usual")
