"""When Python collects garbage: not while a replica starts, and seldom once it serves.

Nearly all that imports and opening make stays for as long as the process lives. What a run makes goes with
it, but for cycles, of which there are some kilobytes a run: searching for them after every 700 allocations,
through all the runs that are under way, would take an eighth of a busy replica's processor time.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

THRESHOLDS: Final = (25_000, 10, 10)
"""Of `gc.set_threshold`: the youngest generation is collected when it has grown by so many objects, which
takes some 15 ms; an older one after ten collections of the younger one."""


@contextmanager
def paused() -> Iterator[None]:
    """Collects no garbage while the context is open; objects that exist at its end are never examined
    again."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def tune() -> None:
    """Collects once, excludes the objects that are left from further collections, and collects seldom from
    now on. For a process that has opened all it needs."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
