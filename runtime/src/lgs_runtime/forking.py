"""Repairs state in forked processes (`os.fork`, which `multiprocessing` and `ProcessPoolExecutor` use on
Linux up to Python 3.13). Only one thread continues in the child: nothing releases the locks of others."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Copied(Protocol):
    """An object that has locks, or counts operations that threads are in the middle of."""

    def begin_in_child(self) -> None:
        """Called in the child process, before anything else runs there."""


_copied: WeakSet[Copied] = WeakSet()


def copied(each: Copied) -> None:
    """Registers an object: its `begin_in_child` is called in each process that is forked from this one."""
    _copied.add(each)


def _begin() -> None:
    for each in tuple(_copied):
        each.begin_in_child()


os.register_at_fork(after_in_child=_begin)
