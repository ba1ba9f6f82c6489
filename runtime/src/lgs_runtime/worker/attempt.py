"""One attempt of one run, while it executes here: what may stop it, and why it was stopped.

However many reasons come, the graph is cancelled once: a second cancellation would cut what its nodes do to
clean up after the first. They get `CLEANUP_SECONDS` for that. Then the attempt ends without them, and nothing
that they still store reaches the thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
from typing import TYPE_CHECKING, Any

import structlog
from langgraph.runtime import RunControl

from lgs_runtime.checkpoint.wrappers.attempt import AttemptSaver
from lgs_runtime.graphs.circuits import RunPermit
from lgs_runtime.model import Outcome, Run
from lgs_runtime.run_kwargs import RunKwargs

if TYPE_CHECKING:
    from lgs_runtime.tracing.attempts import AttemptTrace

CLEANUP_SECONDS = 60.0
"""How long the nodes of a graph that was cancelled may clean up."""
log = structlog.get_logger(__name__)


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
    """The run is another replica's by now; nothing is stored or sent."""


@dataclass(slots=True)
class Attempt:
    """An attempt and its switches. `control` stops it at the end of a step, `stop` at once."""

    run: Run
    kwargs: RunKwargs = field(init=False)
    control: RunControl = field(default_factory=RunControl)
    task: asyncio.Task[None] | None = None
    work: asyncio.Task[Outcome] | None = None
    """The graph's own task, which `stop` cancels; the end of the attempt is stored by `task`."""
    saver: AttemptSaver | None = None
    """What the graph stores by."""
    stopped: Stop | None = None
    over: asyncio.Future[None] | None = None
    """Done when `work` is, or when its nodes' time to clean up is."""
    cancelled: bool = False
    permit: RunPermit | None = None
    """That of the graph's circuit."""
    opened: bool = False
    """Whether the graph was there to be run."""
    raised: BaseException | None = None
    """What the graph raised."""
    trace: AttemptTrace | None = None
    """None where runs are not traced."""
    cached: bool = False
    """Whether the answer was cached, and the graph not asked."""
    _patience: asyncio.TimerHandle | None = None

    def __post_init__(self) -> None:
        self.kwargs = RunKwargs.from_json(self.run.kwargs)

    @property
    def saver_class(self) -> type[AttemptSaver]:
        """The kind of saver that its graph stores by."""
        return AttemptSaver if self.trace is None else self.trace.saver_class

    @property
    def lost(self) -> bool:
        """Whether the lease is gone."""
        return self.stopped is Stop.LOST

    def begin(self, work: Coroutine[Any, Any, Outcome]) -> asyncio.Future[None]:
        """Starts the graph's task. The future is done when it ends, or is waited for no longer."""
        over = self.over = asyncio.get_running_loop().create_future()
        self.work = asyncio.create_task(work)
        self.work.add_done_callback(self._is_over)
        return over

    def stop(self, reason: Stop) -> None:
        """Cancels the graph, if nothing has. A stronger reason replaces the one before it."""
        if self.stopped is None or RANK.index(reason) > RANK.index(self.stopped):
            self.stopped = reason
        self.cancel()

    def cancel(self) -> None:
        """Cancels the graph, once, and gives its nodes their time to clean up."""
        if self.work is None or self.work.done() or self.cancelled:
            return
        self.cancelled = True
        if self.saver is not None:
            self.saver.cut()
        # A node may swallow the cancellation: nothing is run after it.
        self.control.request_drain("the run is stopped")
        self.work.cancel()
        self._patience = asyncio.get_running_loop().call_later(CLEANUP_SECONDS, self._leave)

    def _leave(self) -> None:
        if self.work is not None and not self.work.done():
            log.warning("run.left", run_id=self.run.run_id, after_seconds=CLEANUP_SECONDS)
            if self.saver is not None:
                self.saver.shut()
            self._is_over()

    def _is_over(self, _: object = None) -> None:
        if self._patience is not None:
            self._patience.cancel()
        if self.over is not None and not self.over.done():
            self.over.set_result(None)
