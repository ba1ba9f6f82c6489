"""One attempt of one run, while it executes here: what may stop it, and why it was stopped."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto

from langgraph.runtime import RunControl

from lgs_runtime.model import Outcome, Run
from lgs_runtime.worker.kwargs import RunKwargs


class Stop(StrEnum):
    """Why an attempt is cut. Later reasons replace earlier ones only when they outrank them."""

    DRAIN = "drain"
    INTERRUPT = "interrupt"
    ROLLBACK = "rollback"
    LOST = "lost"


RANK = list(Stop)


class HandBack(Enum):
    """How an attempt ends that has no outcome."""

    RELEASE = auto()
    """The run waits again, for any replica."""
    DROP = auto()
    """The run is another's by now; nothing is to be told to anyone."""


@dataclass(slots=True)
class Attempt:
    """An attempt and its switches. `control` stops it at the end of a step, `stop` at once."""

    run: Run
    kwargs: RunKwargs = field(init=False)
    control: RunControl = field(default_factory=RunControl)
    task: asyncio.Task[None] | None = None
    work: asyncio.Task[Outcome] | None = None
    """The graph's own task, which `stop` cancels; the end of the attempt is stored by `task`."""
    stopped: Stop | None = None

    def __post_init__(self) -> None:
        self.kwargs = RunKwargs.from_json(self.run.kwargs)

    @property
    def lost(self) -> bool:
        """Whether the lease is gone."""
        return self.stopped is Stop.LOST

    def stop(self, reason: Stop) -> None:
        """Cancels the graph. Doing so again with a stronger reason replaces the reason."""
        if self.stopped is None or RANK.index(reason) > RANK.index(self.stopped):
            self.stopped = reason
        if self.work is not None:
            self.work.cancel()
