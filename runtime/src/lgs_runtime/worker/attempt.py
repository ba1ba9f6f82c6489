"""One attempt of one run while it executes here: how it is stopped, and why it was.

The graph is cancelled only once, however many reasons there are: a second cancellation would interrupt the
cleanup of its nodes after the first. They get `CLEANUP_SECONDS` for that. Then the attempt ends without them,
and nothing that they still store reaches the thread.
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
"""How long the nodes of a cancelled graph may clean up."""
log = structlog.get_logger(__name__)


class Stop(StrEnum):
    """Why an attempt is stopped, in ascending rank. A later reason replaces one of lower rank only."""

    DRAIN = "drain"
    INTERRUPT = "interrupt"
    ROLLBACK = "rollback"
    LOST = "lost"


RANK = list(Stop)


class HandBack(Enum):
    """How an attempt without an outcome ends."""

    RELEASE = auto()
    """The run goes back to the queue, for any replica."""
    DROP = auto()
    """The run belongs to another replica by now; nothing is stored or sent."""


@dataclass(slots=True)
class Attempt:
    """An attempt and its controls. `control` stops it at the end of a step, `stop` at once."""

    run: Run
    kwargs: RunKwargs = field(init=False)
    control: RunControl = field(default_factory=RunControl)
    task: asyncio.Task[None] | None = None
    work: asyncio.Task[Outcome] | None = None
    """The graph's own task, which `stop` cancels; the end of the attempt is stored by `task`."""
    saver: AttemptSaver | None = None
    """The saver that the graph stores its checkpoints with."""
    stopped: Stop | None = None
    over: asyncio.Future[None] | None = None
    """Done when `work` is done, or when its nodes' time to clean up is over."""
    cancelled: bool = False
    permit: RunPermit | None = None
    """The permit of the graph's circuit breaker."""
    opened: bool = False
    """Whether the graph could be opened."""
    raised: BaseException | None = None
    """The exception that the graph raised, if any."""
    trace: AttemptTrace | None = None
    """The attempt's trace; None if runs are not traced."""
    cached: bool = False
    """Whether the answer came from the cache, and the graph was not executed."""
    _patience: asyncio.TimerHandle | None = None

    def __post_init__(self) -> None:
        self.kwargs = RunKwargs.from_json(self.run.kwargs)

    @property
    def saver_class(self) -> type[AttemptSaver]:
        """The class of saver that the graph stores its checkpoints with."""
        return AttemptSaver if self.trace is None else self.trace.saver_class

    @property
    def lost(self) -> bool:
        """Whether the lease was lost."""
        return self.stopped is Stop.LOST

    def begin(self, work: Coroutine[Any, Any, Outcome]) -> asyncio.Future[None]:
        """Starts the graph's task. The future is done when the task ends, or is no longer waited for."""
        over = self.over = asyncio.get_running_loop().create_future()
        self.work = asyncio.create_task(work)
        self.work.add_done_callback(self._is_over)
        return over

    def stop(self, reason: Stop) -> None:
        """Cancels the graph, unless that was done already. A reason of higher rank replaces the last."""
        if self.stopped is None or RANK.index(reason) > RANK.index(self.stopped):
            self.stopped = reason
        self.cancel()

    def cancel(self) -> None:
        """Cancels the graph (only once), and gives its nodes their time to clean up."""
        if self.work is None or self.work.done() or self.cancelled:
            return
        self.cancelled = True
        if self.saver is not None:
            self.saver.cut()
        # A node may swallow the cancellation: this ensures that no other runs after it.
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
