"""The open blocks (`with`, `async with`) of one breaker, and the call that belongs to each.

A block is identified by the frame of the code that enters and leaves it. The task is not enough: two streams
that one task reads in turn leave their blocks in any order, and a stream that nobody read to its end is
closed by another task. A block that left another's call would end the other's time-out.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from types import FrameType
from typing import Final

from lgs_runtime.breaker.call import Call
from lgs_runtime.forking import copied

LIBRARY: Final = "contextlib"
"""The module whose frames stand between an `ExitStack` and the code that uses it."""
Who = tuple[str, int]


class Blocks:
    """The open blocks of one breaker. Safe for threads and event loops."""

    def __init__(self) -> None:
        # By the frame's address, not the frame: that of an abandoned task would be kept alive for ever.
        self._entered: dict[int, list[tuple[Who, Call]]] = {}
        self._lock = threading.RLock()
        copied(self)

    def begin_in_child(self) -> None:
        """Called in a forked process, which may be inside a block."""
        self._lock = threading.RLock()

    def enter(self, call: Call, block: int) -> None:
        """Notes that a call enters a block."""
        with self._lock:
            self._entered.setdefault(block, []).append((_who(), call))

    def leave(self, block: int) -> Call:
        """The call of the block that is left: the innermost of this frame. If the frame has none, because
        another function closes an `ExitStack`, the latest of this task or thread, else the oldest."""
        with self._lock:
            if block not in self._entered:
                who = _who()
                own = (each for each, calls in reversed(self._entered.items()) if calls[-1][0] == who)
                block = next(own, next(iter(self._entered)))
            calls = self._entered[block]
            _, call = calls.pop()
            if not calls:
                del self._entered[block]
            return call


def block_of_caller() -> int:
    """Identifies the block from which the caller of this function was called."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_globals.get("__name__") == LIBRARY:
        frame = frame.f_back
    return id(frame)


def _who() -> Who:
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    return ("thread", threading.get_ident()) if task is None else ("task", id(task))
