"""What every storage promises: the queue of runs, and the records of assistants and threads.

Two implementations, SQLite and Postgres, pass one contract suite. All methods raise `StorageUnavailable` when
the database can't be reached, and never leave half of a change. The database's clock is the only one that
counts.

Where a method takes a `scope`, what is outside of it is not there: it is not found, listed, counted or
changed. A run is within the scope of its thread.

The life of a run: `enqueue` makes it durable (and only then is it acknowledged); `claim`, or `enqueue` itself
when the replica has a free slot, gives it to one replica; that replica's lease is renewed by `Leases.renew`;
`finish` or `release` ends the attempt. `reap` gives the runs of replicas whose lease ran out to others. An
attempt is named by (run_id, replica, attempt): whoever is late gets `LeaseLost`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol

from lgs_runtime.model import (
    Assistant,
    CancelAction,
    Enqueued,
    Finished,
    Json,
    NewRun,
    Outcome,
    Page,
    QueueDepth,
    QueueLimits,
    Run,
    RunStatus,
    Scope,
    Signal,
    Thread,
    ThreadStatus,
    Ttl,
    Webhook,
)
from lgs_runtime.storage.archives import Archives
from lgs_runtime.storage.histories import Audit, Versions
from lgs_runtime.storage.queries import AssistantQuery, RunQuery, ThreadQuery
from lgs_runtime.storage.schedules import Crons


class Leases(Protocol):
    """The lease of one replica, on a connection of its own: a busy event loop or pool can't hold it up.

    Made by `Storage.leases(replica)`; may be used from another thread with an event loop of its own.
    """

    async def renew(self) -> bool:
        """Extends the replica's lease by `lease_seconds`, in one statement, also when it had run out and
        nobody has taken this replica's runs. False: they were taken; the lease is new and empty now."""

    async def close(self) -> None:
        """Gives the lease up (the replica holds no runs any more) and closes the connection."""


class Queue(Protocol):
    """Runs, from their acknowledgement to their end."""

    async def enqueue(self, new: NewRun, limits: QueueLimits, claim_for: str | None = None) -> Enqueued:
        """Stores a run durably, applying its multitask strategy, or stores nothing.

        `claim_for` names the asking replica when it has a free slot: the run is inserted as claimed by it if
        it is due, its thread is free, the replica has its graph, and no run that the replica could claim has
        a smaller rank. Otherwise it waits, if its
        queue has room.

        Strategies on a thread with unfinished runs: `reject` raises `Conflict`; `enqueue` waits its turn;
        `interrupt` cancels the unfinished ones with action interrupt, `rollback` with action rollback, and
        waits for their end.

        With `limits.user`, a run that would give its user (`actor.who`) more unfinished runs is refused: that
        is exact, whichever replicas store runs of the user at the same time.

        Raises `NotFound` (thread, unless `create_thread`; assistant), `Conflict`, `QueueFull` and its
        `UserLimit`. Storing the
        same run_id again returns what is stored, unchanged.
        """

    async def enqueue_all(self, new: Sequence[NewRun], limits: QueueLimits) -> Sequence[Run]:
        """Stores runs in this order, all of them or none, as `enqueue` without `claim_for` does. Raises what
        the first that is refused raises."""

    async def claim(self, replica: str, slots: int, graphs: Sequence[str] | None = None) -> Sequence[Run]:
        """Up to `slots` runs of `graphs` (default: those that `replica` takes), now `running` and its own,
        attempt charged: the first in line, in that order. Most urgent first, with aging, and fair between the
        groups of a level: `fairness` has the law. A run's rank is its due time plus 0 s (high), 30 s (normal)
        or 120 s (low), finer by its level. One running run a thread, and a thread's runs in the order they
        were stored. Two replicas never get the same run. A replica without a lease that lives gets none."""

    async def take_only(self, replica: str, graphs: Sequence[str]) -> None:
        """Says which of its graphs `replica` takes runs of from now on, until its lease is taken anew. Runs
        of a graph that no replica takes wait, and count as `unserved`."""

    async def held(self, replica: str) -> Sequence[Run]:
        """The runs that are `replica`'s by the storage's account: running, and claimed by it. A claim whose
        answer was lost on its way is found here."""

    async def finish(self, run: Run, replica: str, outcome: Outcome) -> Finished:
        """Ends an attempt and its run; sets the thread's status, values and interrupts (`busy` stays while
        other runs wait on it). An `answer` is kept as the run's `result`, and told to its webhook. With
        `delete_thread_after` the thread's record goes and the run keeps the answer, else the values, as
        `result` (the checkpoints are the caller's); else the state it ended with becomes a version of the
        thread (`histories.checkpoint_of`). A run that was cancelled with `rollback` is deleted. Raises
        `RollbackAsked` where the outcome is not `undone` then, `LeaseLost` when the attempt is no longer the
        replica's: nothing is changed."""

    async def release(self, replica: str, runs: Sequence[Run]) -> None:
        """Hands runs back unfinished: they wait again, first in rank, and no attempt is charged."""

    async def reap(self, max_attempts: int, replica: str | None = None) -> Sequence[Run]:
        """Takes runs from replicas whose lease ran out, except from `replica`, which asks and so lives. Those
        with attempts left wait again, the others end in `error` with the reason. Returns them as they are
        afterwards. Safe to call from every replica."""

    async def cancel(
        self,
        thread_id: str | None,
        run_ids: Sequence[str],
        action: CancelAction,
        scope: Scope | None = None,
    ) -> Sequence[Run]:
        """Asks runs to stop. A waiting run ends at once (`interrupted`, or deleted with rollback); a running
        one gets `cancel_requested` and a `cancel` signal, and ends when its worker has stopped. So does, with
        rollback, one that waits after an attempt: it goes first in line, to a replica that deletes its
        checkpoints. A rollback that was asked for stays, whatever is asked for later. Finished runs
        are left alone. Returns the runs as they are afterwards (a deleted one as it was). Raises
        `NotFound`."""

    async def unfinished(
        self,
        statuses: Sequence[RunStatus],
        not_asked: CancelAction,
        before: datetime,
        scope: Scope | None = None,
    ) -> Sequence[str]:
        """Ids of pending or running runs of all threads that were stored until `before` and have not been
        asked to stop in the way `not_asked`: at most five hundred."""

    async def run(self, run_id: str, thread_id: str | None = None, scope: Scope | None = None) -> Run:
        """One run. Raises `NotFound`, also when it is not of `thread_id`."""

    async def runs(self, thread_id: str, query: RunQuery) -> Sequence[Run]:
        """The runs of a thread, newest first."""

    async def runs_of(self, user: str, query: RunQuery) -> Sequence[Run]:
        """The runs that a user asked for, on all threads, newest first."""

    async def delete_run(self, thread_id: str, run_id: str, scope: Scope | None = None) -> None:
        """Deletes a finished run. Raises `NotFound`, `Conflict` while it is pending or running."""

    async def expire_runs(self, older_than_hours: float) -> int:
        """Deletes the records of runs that ended longer ago than that. Returns how many."""

    async def claim_webhooks(
        self, limit: int, retry_seconds: float, longest_seconds: float
    ) -> Sequence[Webhook]:
        """The webhooks that are due, each given to one caller, attempt charged. One that is not dropped is
        due again after `retry_seconds`, doubled with each attempt up to `longest_seconds`. A webhook is
        stored with the end of its run, and goes with the run's record; a run that is rolled back has none."""

    async def release_webhook(self, run_id: str, seconds: float) -> None:
        """The call was not made: the attempt is not charged, and it is due again after so long."""

    async def drop_webhook(self, run_id: str) -> None:
        """The call was made, or is given up."""

    async def orphaned_threads(self, older_than_seconds: float) -> Sequence[str]:
        """Threads of stateless runs whose record went so long ago, and whose checkpoints nobody has said to
        be gone: at most a thousand. Their ids are never used again."""

    async def forget_orphaned(self, thread_ids: Sequence[str]) -> None:
        """The checkpoints of these threads are gone."""

    async def depth(self) -> QueueDepth:
        """The whole service's queue at this moment. Cheap: it looks at waiting runs only."""


class Records(Protocol):
    """Assistants and threads."""

    async def create_assistant(
        self, assistant: Assistant, if_exists: str = "raise", scope: Scope | None = None
    ) -> Assistant:
        """Stores version 1 of an assistant. `if_exists`: `raise` (`Conflict`) or `do_nothing` (returns the
        stored, if that is within the scope; else `Conflict`)."""

    async def assistant(self, assistant_id: str, scope: Scope | None = None) -> Assistant:
        """One assistant at its current version. Raises `NotFound`."""

    async def update_assistant(
        self, assistant_id: str, changes: Mapping[str, Any], scope: Scope | None = None
    ) -> Assistant:
        """Stores a new version with `changes` (fields of `Assistant`; metadata is merged) and makes it
        current."""

    async def assistant_versions(
        self, assistant_id: str, page: Page, metadata: Json | None = None, scope: Scope | None = None
    ) -> Sequence[Assistant]:
        """Its versions, newest first."""

    async def set_latest(self, assistant_id: str, version: int, scope: Scope | None = None) -> Assistant:
        """Makes a stored version, which is within the scope too, the current one. Raises `NotFound`."""

    async def delete_assistant(
        self,
        assistant_id: str,
        *,
        delete_threads: bool = False,
        scope: Scope | None = None,
        threads_scope: Scope | None = None,
    ) -> None:
        """Deletes an assistant with its versions, and its threads in `threads_scope`. Raises `NotFound`."""

    async def assistants(self, query: AssistantQuery) -> Sequence[Assistant]:
        """A page of the assistants that match."""

    async def count_assistants(self, query: AssistantQuery) -> int:
        """How many match."""

    async def create_thread(
        self,
        thread_id: str,
        metadata: Json,
        if_exists: str = "raise",
        ttl: Ttl | None = None,
        scope: Scope | None = None,
    ) -> Thread:
        """Stores an idle thread. `if_exists`: `raise` (`Conflict`) or `do_nothing` (returns the stored, if
        that is within the scope; else `Conflict`)."""

    async def thread(self, thread_id: str, scope: Scope | None = None) -> Thread:
        """One thread. Raises `NotFound`."""

    async def update_thread(
        self,
        thread_id: str,
        metadata: Json,
        ttl: Ttl | None = None,
        scope: Scope | None = None,
    ) -> Thread:
        """Merges metadata; sets the time to live, if given. Raises `NotFound`, also when the thread would
        leave the scope."""

    async def set_thread_state(
        self, thread_id: str, values: Json, interrupts: Json, status: ThreadStatus
    ) -> Thread:
        """After an `update_state`: what the latest checkpoint says. A busy thread stays busy. Raises
        `NotFound`."""

    async def delete_thread(self, thread_id: str, scope: Scope | None = None) -> None:
        """Deletes a thread and its runs; running ones are cancelled with rollback. Raises `NotFound`."""

    async def copy_thread(
        self,
        thread_id: str,
        new_thread_id: str,
        metadata: Json | None = None,
        scope: Scope | None = None,
        ttl: Ttl | None = None,
    ) -> Thread:
        """A new idle thread with the metadata (unless another is given) and values of one in the scope, and
        a time to live of its own. Raises `NotFound`."""

    async def threads(self, query: ThreadQuery) -> Sequence[Thread]:
        """A page of the threads that match."""

    async def count_threads(self, query: ThreadQuery) -> int:
        """How many match."""

    async def expire_threads(self, limit: int) -> Sequence[str]:
        """Deletes at most `limit` threads without unfinished runs whose time to live has passed, of strategy
        `delete`; returns their ids (checkpoints are the caller's). The time counts from a thread's last
        change, or its import."""

    async def stale_threads(self, limit: int) -> Sequence[Thread]:
        """At most `limit` threads without unfinished runs whose time to live has passed, of strategy
        `keep_latest`, that were changed since they were last noted as thinned."""

    async def note_pruned(self, thread: Thread) -> None:
        """What `keep_latest` asks for was done to the thread as it is here: nothing more is due until it
        changes. A change since then counts."""


class Storage(Queue, Records, Versions, Audit, Archives, Crons, Protocol):
    """A database of the service. Opened by `storage.open_storage(uri, lease_seconds=…)`, which also migrates
    it, safely when several replicas start at once on an empty one."""

    name: str
    """`sqlite` or `postgres`, for `/info` and messages that people read."""

    database_id: str
    """By which this database is known from another one."""

    async def ping(self) -> None:
        """Raises `StorageUnavailable` unless a statement runs now, and `DatabaseReplaced` where the database
        is empty, or another one than was opened."""

    async def finished_runs(self, run_ids: Collection[str]) -> Collection[str]:
        """Those of the runs that have ended or are gone, for all who wait for one in a single look."""

    async def changed_threads(self, seen: Mapping[str, datetime | None]) -> Collection[str]:
        """Those of the threads that are busy, gone, or changed since they were seen: whose `updated_at` is
        another, or was not seen."""

    def notify(self, *signals: Signal) -> None:
        """Hands news to all replicas, this one included: soon, without waiting, and never failing."""

    async def now(self) -> datetime:
        """The database's clock."""

    async def leases(self, replica: str, graphs: Sequence[str] | None = None) -> Leases:
        """The replica's lease, taken, and what graphs it has (None: any). To be awaited on the event loop
        that is going to renew it."""

    def signals(self) -> AbstractAsyncContextManager[AsyncIterator[Signal]]:
        """News from all replicas, this one included, while the context is open. Reconnects by itself; after a
        gap it yields one `Signal("queued", "")`."""

    async def close(self) -> None:
        """Closes every connection."""
