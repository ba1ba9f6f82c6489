"""The records of threads."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from lgs_runtime.model import Json, Scope, Thread, ThreadStatus, Ttl
from lgs_runtime.storage.queries import ThreadQuery


class Threads(Protocol):
    """Threads, without their checkpoints."""

    async def create(
        self,
        thread_id: str,
        metadata: Json,
        if_exists: str = "raise",
        ttl: Ttl | None = None,
        scope: Scope | None = None,
    ) -> Thread:
        """Stores an idle thread. `if_exists`: `raise` (`Conflict`) or `do_nothing` (returns the stored, if
        that is within the scope; else `Conflict`)."""

    async def get(self, thread_id: str, scope: Scope | None = None) -> Thread:
        """One thread. Raises `NotFound`."""

    async def update(
        self,
        thread_id: str,
        metadata: Json,
        ttl: Ttl | None = None,
        scope: Scope | None = None,
    ) -> Thread:
        """Merges metadata; sets the time to live, if given. Raises `NotFound`, also when the thread would
        leave the scope."""

    async def set_state(self, thread_id: str, values: Json, interrupts: Json, status: ThreadStatus) -> Thread:
        """After an `update_state`: what the latest checkpoint says. A busy thread stays busy. Raises
        `NotFound`."""

    async def delete(self, thread_id: str, scope: Scope | None = None, *, replaced: bool = False) -> None:
        """Deletes a thread, its runs and its crons; running runs are cancelled with rollback. `replaced`:
        another thread comes in its place, which has its crons. Raises `NotFound`."""

    async def copy(
        self,
        thread_id: str,
        new_thread_id: str,
        metadata: Json | None = None,
        scope: Scope | None = None,
        ttl: Ttl | None = None,
    ) -> Thread:
        """A new idle thread with the metadata (unless another is given) and values of one in the scope, and
        a time to live of its own. Raises `NotFound`."""

    async def search(self, query: ThreadQuery) -> Sequence[Thread]:
        """A page of the threads that match."""

    async def count(self, query: ThreadQuery) -> int:
        """How many match."""

    async def expire(self, limit: int) -> Sequence[str]:
        """Deletes at most `limit` threads without unfinished runs whose time to live has passed, of strategy
        `delete`; returns their ids (checkpoints are the caller's). The time counts from a thread's last
        change, or its import."""

    async def stale(self, limit: int) -> Sequence[Thread]:
        """At most `limit` threads without unfinished runs whose time to live has passed, of strategy
        `keep_latest`, that were changed since they were last noted as pruned."""

    async def note_pruned(self, thread: Thread) -> None:
        """What `keep_latest` asks for was done to the thread as it is here: nothing more is due until it
        changes. A change since then counts."""

    async def changed(self, seen: Mapping[str, datetime | None]) -> Collection[str]:
        """Those of the threads that are busy, gone, or changed since they were seen: whose `updated_at` is
        another, or was not seen."""
