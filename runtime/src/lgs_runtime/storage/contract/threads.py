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
        """Stores an idle thread. `if_exists`: `raise` (`Conflict`) or `do_nothing` (returns the stored thread
        if it is within the scope, else `Conflict`)."""

    async def get(self, thread_id: str, scope: Scope | None = None) -> Thread:
        """One thread. Raises `NotFound`."""

    async def update(
        self,
        thread_id: str,
        metadata: Json,
        ttl: Ttl | None = None,
        scope: Scope | None = None,
    ) -> Thread:
        """Merges the metadata; sets the time to live, if given. Raises `NotFound`, also when the thread would
        leave the scope."""

    async def set_state(self, thread_id: str, values: Json, interrupts: Json, status: ThreadStatus) -> Thread:
        """Sets what the latest checkpoint says, after an `update_state`. A busy thread stays busy. Raises
        `NotFound`."""

    async def delete(self, thread_id: str, scope: Scope | None = None, *, replaced: bool = False) -> None:
        """Deletes a thread, its runs and its crons; running runs are cancelled with rollback. `replaced`:
        another thread takes its place and keeps the crons. Raises `NotFound`."""

    async def copy(
        self,
        thread_id: str,
        new_thread_id: str,
        metadata: Json | None = None,
        scope: Scope | None = None,
        ttl: Ttl | None = None,
    ) -> Thread:
        """Makes an idle thread with the values of a thread in the scope, its metadata (unless another is
        given), and a time to live of its own. Raises `NotFound`, and `Conflict` when `new_thread_id`
        exists."""

    async def search(self, query: ThreadQuery) -> Sequence[Thread]:
        """A page of the threads that match."""

    async def count(self, query: ThreadQuery) -> int:
        """How many threads match."""

    async def expire(self, limit: int) -> Sequence[str]:
        """Deletes at most `limit` threads of strategy `delete` that have no unfinished runs and whose time to
        live has passed; returns their ids (the caller deletes the checkpoints). The time counts from a
        thread's last change, or its import."""

    async def stale(self, limit: int) -> Sequence[Thread]:
        """At most `limit` threads of strategy `keep_latest` that have no unfinished runs, whose time to live
        has passed, and that were changed since they were last noted as pruned."""

    async def note_pruned(self, thread: Thread) -> None:
        """Notes that the thread, as given here, was pruned to its latest state (`keep_latest`): nothing more
        is due until it changes. A change made since then counts."""

    async def changed(self, seen: Mapping[str, datetime | None]) -> Collection[str]:
        """Those of the threads that are busy, gone, or changed since they were seen: their `updated_at` is
        not the one seen, or none was seen."""
