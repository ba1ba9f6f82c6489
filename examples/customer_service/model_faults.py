"""Faults of the local model, read from a file: how a load test makes the model slow or faulty.

`CUSTOMER_SERVICE_MODEL_FAULTS` names a JSON file such as `{"latency_factor": 8.0, "failure_rate": 0.5}`. It
is read twice a second at most; no file, or one that is being written, is a model in good health.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Faults:
    """What is wrong with the model."""

    latency_factor: float = 1.0
    """Answers take so many times as long."""
    failure_rate: float = 0.0
    """The share, 0 … 1, of calls that fail."""
    careless_drafts: int = 0
    """So many drafts of each reply say something that no passage does: 1 is mended by the retry, 2 is not."""


HEALTHY = Faults()


class FaultFile:
    """The file, and what it said last."""

    def __init__(self, path: str | None = None) -> None:
        """By default the one that the environment names."""
        self._path = path if path is not None else os.environ.get("CUSTOMER_SERVICE_MODEL_FAULTS", "")
        self._looked_at = -LOOK_SECONDS
        self._faults = HEALTHY
        self._owed = 0.0

    def now(self, at: float | None = None) -> Faults:
        """What is wrong at a time of the monotonic clock."""
        at = time.monotonic() if at is None else at
        if self._path and at - self._looked_at >= LOOK_SECONDS:
            self._looked_at = at
            self._faults = _read(Path(self._path))
        return self._faults

    def fails(self) -> bool:
        """Whether this call is one of those that fail. Counted, not drawn: of ten calls at a rate of 0.3
        exactly three fail."""
        self._owed += self.now().failure_rate
        if self._owed < 1.0:
            return False
        self._owed -= 1.0
        return True


def _read(path: Path) -> Faults:
    try:
        faults = json.loads(path.read_text())
        return Faults(
            latency_factor=max(0.0, float(faults.get("latency_factor", 1.0))),
            failure_rate=min(1.0, max(0.0, float(faults.get("failure_rate", 0.0)))),
            careless_drafts=int(faults.get("careless_drafts", 0)),
        )
    except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return HEALTHY
