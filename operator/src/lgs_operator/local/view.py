"""What `lgs up` shows: a live table on a terminal, plain lines elsewhere. Shows only; decides nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from lgs_operator.local.processes import Process
from lgs_operator.scaling import Decision


class View:
    """A context manager that shows the state; on a terminal, a live table while it is open."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None
        self._last: tuple[object, ...] = ()

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, line: str) -> None:
        """Prints one line that stays."""
        self._console.print(f"[dim]{time.strftime('%H:%M:%S')}[/dim] {escape(line)}")

    def show(self, title: str, processes: Sequence[Process], decision: Decision | None) -> None:
        """Shows the present state; without a terminal it only prints what changed."""
        if self._live is not None:
            self._live.update(_screen(title, processes, decision), refresh=True)
            return
        shown = (decision.replicas, decision.code) if decision else ()
        if decision is not None and shown != self._last:
            self._last = shown
            self.say(f"{decision.code}: {decision.replicas} wanted: {decision.reason}")


def _screen(title: str, processes: Sequence[Process], decision: Decision | None) -> Group:
    table = Table(expand=False)
    for name in ("replica", "pid", "state", "slots in use", "runs ended"):
        table.add_column(name, justify="left" if name in {"replica", "state"} else "right", overflow="fold")
    for each in sorted(processes, key=lambda process: process.started_at):
        seen = each.sample
        slots = f"{seen.in_use}/{seen.slots}" if seen else ""
        ended = f"{seen.finished:.0f}" if seen else ""
        table.add_row(escape(each.name), str(each.handle.pid), each.phase, slots, ended)
    if decision is None:
        return Group(_folded(title), table, Text("no decision yet"))
    p95 = "none ended lately" if decision.p95 is None else f"{decision.p95:.2f} s"
    queue = "unknown" if decision.queue is None else str(decision.queue)
    words = f"queue {queue}   p95 {p95}   wanted {decision.replicas}\n{decision.code}: {decision.reason}"
    return Group(_folded(title), table, _folded(words))


def _folded(words: str) -> Text:
    """A text that is wrapped however narrow the terminal is: a live screen cuts off what is not wrapped."""
    return Text(words, no_wrap=False, overflow="fold")
