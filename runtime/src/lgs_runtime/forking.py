"""Processes that this one is copied to (`os.fork`, which `multiprocessing` and `ProcessPoolExecutor` use on
Linux up to Python 3.13). Of its threads one goes on there: nobody gives up what the others held."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Copied(Protocol):
    """What has locks, or counts what threads are in the midst of."""

    def begin_in_child(self) -> None:
        """Is called in the copy, before anything else runs there."""


_copied: WeakSet[Copied] = WeakSet()


def copied(each: Copied) -> None:
    """Has `begin_in_child` called in each process that this one is copied to."""
    _copied.add(each)


def _begin() -> None:
    for each in tuple(_copied):
        each.begin_in_child()


os.register_at_fork(after_in_child=_begin)
