"""When Python collects garbage: not while a replica starts, and seldom once it serves.

Nearly all objects that are made by imports and at the start live as long as the process. The objects of a run
are freed with it, except for some kilobytes in reference cycles. Searching for these after every 700
allocations, through all runs in progress, would take an eighth of a busy replica's processor time.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

THRESHOLDS: Final = (25_000, 10, 10)
"""Arguments of `gc.set_threshold`: the youngest generation is collected when it has grown by 25,000 objects,
which takes some 15 ms; an older one after ten collections of the next younger one."""


@contextmanager
def paused() -> Iterator[None]:
    """Pauses garbage collection while the context is open. Objects that exist at its end are never examined
    again."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def tune() -> None:
    """Collects once, excludes the remaining objects from further collections, and collects seldom from then
    on. For a process that has opened everything it needs."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
