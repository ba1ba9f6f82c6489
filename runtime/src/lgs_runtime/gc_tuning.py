"""When Python looks for garbage: not while a replica starts, and seldom once it serves.

Nearly all that imports and opening make stays for as long as the process lives. What a run makes goes with
it, but for cycles, of which there are some kilobytes a run: looking for them after every 700 allocations,
through all the runs that are under way, would take an eighth of a busy replica's processor time.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

THRESHOLDS: Final = (25_000, 10, 10)
"""Of `gc.set_threshold`: the youngest are looked through when there are so many more of them, which takes
some 15 ms; a generation after ten looks at the younger one."""


@contextmanager
def paused() -> Iterator[None]:
    """Leaves garbage alone while the context is open; what is there at its end is never looked at again."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def tune() -> None:
    """Clears up, sets what is left aside for good, and looks seldom from now on. For a process that has
    opened all it needs."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
