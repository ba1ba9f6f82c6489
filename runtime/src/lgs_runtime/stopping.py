"""SIGTERM and SIGINT before a replica serves. Importing an application may take a minute, and a stop should
not wait for it: nothing has been claimed or answered, so nothing is lost.

As process 1 of a container this one is sent no signal that it does not handle, whence the first instructions
of the command come here. In the images the signals are blocked before Python itself starts, so that one of
them waits until here. Nothing may be imported here that takes time, `typing` neither.
"""

from __future__ import annotations

import os
import signal

SIGNALS = (signal.SIGTERM, signal.SIGINT)
WORDS = b'{"event": "replica.stopped", "level": "info", "reason": "asked to stop before it served"}\n'


def end_at_once() -> None:
    """From now on a signal to stop ends the process, with 0; until others are set for these signals. One that
    was sent before and is blocked does so here."""
    for number in SIGNALS:
        signal.signal(number, _end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def end_as_terminated() -> None:
    """As process 1, too, SIGTERM ends the process as it ends any other: at once, as a shell reports it."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def _end(_number: int, _frame: object) -> None:
    end()


def end() -> None:
    """Ends the process, with 0."""
    # What writes logs may have been interrupted, and can't be called.
    os.write(2, WORDS)
    os._exit(0)
