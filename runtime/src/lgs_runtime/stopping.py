"""Handles SIGTERM and SIGINT before a replica serves. Importing an application may take a minute, and a stop
should not wait for it: nothing has been claimed or answered, so nothing is lost.

Process 1 of a container receives no signal that it does not handle, so the command calls this module first.
In the images the signals are blocked before Python itself starts, so that one sent meanwhile waits until
here. This module must import nothing that takes time, not even `typing`.
"""

from __future__ import annotations

import os
import signal

SIGNALS = (signal.SIGTERM, signal.SIGINT)
WORDS = b'{"event": "replica.stopped", "level": "info", "reason": "asked to stop before it served"}\n'


def end_at_once() -> None:
    """From now on a stop signal ends the process with exit code 0, until other handlers are set. A blocked
    signal that was sent before is handled here."""
    for number in SIGNALS:
        signal.signal(number, _end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def end_as_terminated() -> None:
    """Makes SIGTERM end the process at once, even as process 1, with the exit code that shells report."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def _end(_number: int, _frame: object) -> None:
    end()


def end() -> None:
    """Ends the process with exit code 0."""
    # The signal may have interrupted the logger, so it can't be called.
    os.write(2, WORDS)
    os._exit(0)
