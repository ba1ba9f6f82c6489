"""Says why workers of `lgs up` have ended, and what to do about those that can't work."""

from __future__ import annotations

import os
import signal
import time

from lgs_operator.local.errors import LocalError
from lgs_operator.local.machine import remember
from lgs_operator.local.plan import pause_after
from lgs_operator.local.processes import Process
from lgs_operator.local.service import Options
from lgs_operator.local.state import State
from lgs_operator.local.view import View
from lgs_operator.local.worker_log import in_vain, missing_module, readable, waiting

CANNOT_WORK = 2
CALM_SECONDS = 30.0


class EndedWorkers:
    """Those of one `lgs up`."""

    def __init__(self, options: Options, view: View) -> None:
        self._options = options
        self._view = view

    def say_news(self, state: State, process: Process) -> None:
        """Says what is new in the log of a worker and concerns a person."""
        for line in state.notices.of(process.name, process.new_lines(), state.service.notes):
            self._view.say(line)

    def reap(self, state: State) -> None:
        """Takes the workers that have ended out of the state, and says why they did. Raises `LocalError` if
        no worker can ever work."""
        for process in [each for each in state.processes if each.handle.returncode is not None]:
            state.processes.remove(process)
            self.say_news(state, process)
            for line in state.notices.ended(process.name):
                self._view.say(line)
            if process.phase == "draining":
                self._view.say(f"{process.name} has drained")
            elif process.handle.returncode == CANNOT_WORK:
                self._cannot_work(state, process)
            else:
                self._crashed(state, process)
            remember(state.service.data_dir, [each.handle.pid for each in state.processes])

    def _cannot_work(self, state: State, process: Process) -> None:
        if process.generation != state.generation or not state.can_work:
            # The first worker of a generation that can't work has reported it.
            return
        state.can_work = False
        words = process.last_words()
        self._view.say(f"{process.name} can't work: {words}")
        self._show_log(state, process, words)
        if any(each.phase == "ready" for each in state.processes):
            self._view.say(f"what served before goes on serving; {self._hope(state, words)}")
        elif (vain := self._in_vain(state, words)) is not None:
            raise LocalError(vain)
        else:
            self._view.say(self._hope(state, words))

    def _hope(self, state: State, words: str) -> str:
        made = state.service.env.keys()
        return self._in_vain(state, words) or waiting(words, self._given(state), made)

    def _in_vain(self, state: State, words: str) -> str | None:
        flags = {"DATABASE_URI": "--database-uri"} if self._options.database_uri else {}
        return in_vain(words, self._given(state), flags, str(state.service.data_dir))

    def _given(self, state: State) -> list[str]:
        """The names of variables that workers have unchanged from the environment of `lgs up`."""
        outer = os.environ if self._options.env is None else self._options.env
        return [name for name, value in outer.items() if state.service.env.get(name) == value]

    def _show_log(self, state: State, process: Process, words: str) -> None:
        written = process.written()
        if lines := readable(written, {words, *state.notices.lines}):
            self._view.say("\n".join([f"from its log, {process.log}:", *lines]))
        if (module := missing_module(written)) is not None:
            self._view.say(
                f"{module} is not installed in the application's environment; try:\n"
                f"  {state.service.install}\nand start lgs up again"
            )

    def _crashed(self, state: State, process: Process) -> None:
        now = time.monotonic()
        state.crashes = 1 if now - state.crashed_at > CALM_SECONDS else state.crashes + 1
        state.crashed_at = now
        pause = pause_after(state.crashes)
        state.not_before = now + pause
        code = process.handle.returncode or 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        when = f"in {pause:.1f} s" if pause else "now"
        # The log of a killed process ends with lines that are no reason: only what went wrong is shown.
        words = "".join(f"; its last words: {line}" for line in readable(process.written())[-1:])
        self._view.say(f"{process.name} {how}; replaced {when}{words}")
        if state.crashes == 1:
            self._view.say(f"its log: {process.log}")
