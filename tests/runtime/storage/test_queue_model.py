"""Whatever is asked of the queue, in whatever order, it answers as the model in `support.queue_model` does.

Each example is a story of up to fifty events of a service with three replicas, made by hypothesis. After each
event every run and every thread is compared: a run that was acknowledged ends once and stays ended, a thread
runs one run at a time and is never stuck busy, the limits are exact, and a late caller gets an error.

hypothesis also draws from the constants of whatever modules of ours are imported, so the stories differ
with the tests that run beside these, `derandomize` or not. A story that once found a difference is kept
below, by itself.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from lgs_runtime.errors import Conflict, LeaseLost, NotFound, QueueFull, RollbackAsked
from lgs_runtime.model import (
    Assistant,
    CancelAction,
    MultitaskStrategy,
    NewRun,
    Outcome,
    Priority,
    QueueLimits,
    Run,
)
from lgs_runtime.storage import Lease, Storage, StorageOptions, open_storage
from support.queue_model import OFFSET_SECONDS, ModelRun, QueueModel
from support.service import new_id

T = TypeVar("T")
MAX_ATTEMPTS = 2
FEW = QueueLimits(high=2, normal=3, low=2)
MANY = QueueLimits()
TABLES = "lgs_run, lgs_thread, lgs_replica, lgs_assistant, lgs_webhook, lgs_spent_thread"
REPLICAS = ("r0", "r1", "r2")
STORY = settings(
    max_examples=40,
    stateful_step_count=40,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)

replicas = st.sampled_from(REPLICAS)
picks = st.integers(0, 10**6)
actions: st.SearchStrategy[CancelAction] = st.sampled_from(["interrupt", "rollback"])
outcomes = st.sampled_from(
    [
        Outcome("success"),
        Outcome("success", "interrupted", interrupts={"t": [{"value": 1}]}),
        Outcome("interrupted"),
        Outcome("error", "error", error="ValueError: no"),
        Outcome("timeout", "error", error="too long"),
    ]
)


@dataclass(frozen=True)
class Arrival:
    """A request for a run, on one of four threads. `delay` is in seconds. Below 0, which no client may ask
    for, the run is late already: it has waited without a test that waits, but came after those before it."""

    thread: int
    priority: Priority
    strategy: MultitaskStrategy
    delay: float
    limits: QueueLimits
    replica: str | None
    """Who asks, when it has a free slot."""
    stateless: bool


arrivals = st.builds(
    Arrival,
    thread=st.integers(0, 3),
    priority=st.sampled_from(list(Priority)),
    strategy=st.sampled_from(["enqueue", "enqueue", "enqueue", "reject", "interrupt", "rollback"]),
    delay=st.sampled_from([0.0, 0.0, 0.0, -500.0, 3600.0]),
    limits=st.sampled_from([MANY, MANY, FEW]),
    replica=st.sampled_from([None, *REPLICAS]),
    stateless=st.sampled_from([False, False, True]),
)


class Stories(RuleBasedStateMachine):
    """One service: its storage, the leases of its replicas, and the model."""

    def __init__(self, uri: str, run_out: Callable[[str], None]) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self.storage: Storage = self.do(open_storage(uri, StorageOptions(lease_seconds=600)))
        self.run_out = run_out
        """Lets the lease of a replica run out now, which saves the wait for it."""
        self.model = QueueModel()
        self.leases: dict[str, Lease] = {}
        self.threads = [new_id() for _ in range(4)]
        self.handles: list[tuple[str, Run]] = []
        """Every attempt that a replica was ever given, with its holder."""

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def teardown(self) -> None:
        async def close() -> None:
            for lease in self.leases.values():
                await lease.close()
            await self.storage.close()

        self.do(close())
        self._runner.close()

    @initialize()
    def a_service_starts(self) -> None:
        now = self.do(self.storage.now())
        self.assistant = Assistant(new_id(), "agent", "agent", None, {}, {}, {}, 1, now, now)
        self.do(self.storage.assistants.create(self.assistant))
        for replica in REPLICAS:
            self.leases[replica] = self.do(self.storage.leases.take(replica))
            self.model.alive.add(replica)
        self.buried: set[str] = set()
        """Replicas whose runs were taken since they had a lease."""

    def pick(self, runs: list[ModelRun], number: int) -> ModelRun | None:
        return runs[number % len(runs)] if runs else None

    def given(self, run: Run, replica: str) -> None:
        self.handles.append((replica, run))

    def handle(self, run: ModelRun) -> Run:
        """The attempt by which its holder knows a run."""
        return next(h for _, h in reversed(self.handles) if h.run_id == run.run_id)

    @rule(runs=st.lists(arrivals, min_size=1, max_size=3))
    def runs_arrive(self, runs: list[Arrival]) -> None:
        for run in runs:
            self._arrive(run)

    @rule(runs=st.lists(arrivals, min_size=2, max_size=4), replica=replicas)
    def runs_arrive_and_some_are_claimed(self, runs: list[Arrival], replica: str) -> None:
        for run in runs:
            self._arrive(run)
        self.a_replica_claims(replica, 2)

    def _arrive(self, run: Arrival) -> None:
        thread_id = self.threads[run.thread]
        later, replica = run.delay > 0, None if run.delay < 0 else run.replica
        rank = self.do(self.storage.now()).timestamp() + OFFSET_SECONDS[run.priority]
        claimed = self.model.may_start_at_once(thread_id, replica, rank, run.strategy, later=later)
        limit = run.limits.of(run.priority)
        refusal = self.model.refusal(thread_id, run.priority, run.strategy, limit, claimed=claimed)
        new = NewRun(
            new_id(),
            thread_id,
            self.assistant.assistant_id,
            {"input": {}},
            priority=run.priority,
            multitask_strategy=run.strategy,
            delay_seconds=run.delay,
            create_thread=True,
            delete_thread_after=run.stateless,
        )

        if refusal is not None:
            with pytest.raises(Conflict if refusal == "busy" else QueueFull):
                self.do(self.storage.queue.enqueue(new, run.limits, replica))
            with pytest.raises(NotFound):
                self.do(self.storage.runs.get(new.run_id))
            return
        stored = self.do(self.storage.queue.enqueue(new, run.limits, replica))

        assert stored.claimed == claimed
        self.model.gone_threads.discard(thread_id)
        self.model.store(stored.run, replica, claimed=claimed, later=later, stateless=run.stateless)
        if claimed:
            self.given(stored.run, str(replica))

    @precondition(lambda self: self.model.runs)
    @rule(number=picks)
    def a_request_is_repeated(self, number: int) -> None:
        if run := self.pick(list(self.model.runs.values()), number):
            again = NewRun(run.run_id, run.thread_id, self.assistant.assistant_id, {"input": "other"})
            before = self.do(self.storage.runs.get(run.run_id))
            assert self.do(self.storage.queue.enqueue(again, FEW)).run == before

    @precondition(lambda self: self.model.claimable())
    @rule(replica=replicas, slots=st.integers(0, 4))
    def a_replica_claims(self, replica: str, slots: int) -> None:
        expected = self.model.claimable()[:slots] if replica in self.model.alive else []

        claimed = self.do(self.storage.queue.claim(replica, slots))

        assert [run.run_id for run in claimed] == [run.run_id for run in expected]
        for run in claimed:
            self.model.give(self.model.runs[run.run_id], replica)
            self.given(run, replica)

    @precondition(lambda self: self.model.claimable())
    @rule(replica=replicas)
    def a_replica_claims_on_many_connections(self, replica: str) -> None:
        expected = self.model.claimable() if replica in self.model.alive else []

        async def claims() -> list[Run]:
            found = await asyncio.gather(*(self.storage.queue.claim(replica, 100) for _ in range(3)))
            return [run for runs in found for run in runs]

        claimed = self.do(claims())

        assert sorted(run.run_id for run in claimed) == sorted(run.run_id for run in expected)
        for run in claimed:
            self.model.give(self.model.runs[run.run_id], replica)
            self.given(run, replica)

    @precondition(lambda self: self.model.held())
    @rule(number=picks, outcome=outcomes)
    def a_run_ends(self, number: int, outcome: Outcome) -> None:
        if run := self.pick(self.model.held(), number):
            if run.cancel == "rollback":
                with pytest.raises(RollbackAsked):
                    self.do(self.storage.queue.finish(self.handle(run), str(run.held_by), outcome))
                outcome = replace(outcome, undone=True)
            self.do(self.storage.queue.finish(self.handle(run), str(run.held_by), outcome))
            self.model.finish(run, outcome.status, outcome.thread_status)

    @precondition(lambda self: self.handles)
    @rule(number=picks, outcome=outcomes, by=replicas)
    def somebody_is_late(self, number: int, outcome: Outcome, by: str) -> None:
        late = [handle for _, handle in self.handles if not self._holds(by, handle)]
        # The hardest to distinguish: a replica that has the run again, and ends an earlier attempt of it.
        again = [handle for handle in late if self._holds(by, replace(handle, attempt=handle.attempt + 1))]
        if late:
            handle = (again or late)[number % len(again or late)]
            with pytest.raises(LeaseLost):
                self.do(self.storage.queue.finish(handle, by, outcome))
            self.do(self.storage.queue.release(by, [handle]))

    def _holds(self, replica: str, handle: Run) -> bool:
        run = self.model.runs.get(handle.run_id)
        return (
            run is not None
            and run.status == "running"
            and run.held_by == replica
            and run.attempt == handle.attempt
        )

    @precondition(lambda self: self.model.held())
    @rule(replica=replicas, share=st.integers(1, 3))
    def a_replica_hands_back(self, replica: str, share: int) -> None:
        held = [run for run in self.model.with_status("running") if run.held_by == replica][:share]
        self.do(self.storage.queue.release(replica, [self.handle(run) for run in held]))
        for run in held:
            self.model.release(run)

    @precondition(lambda self: self.model.held())
    @rule(replica=replicas)
    def a_lease_runs_out(self, replica: str) -> None:
        self.run_out(replica)
        self.model.alive.discard(replica)

    @precondition(lambda self: self.model.held())
    @rule(replica=replicas)
    def a_replica_stops(self, replica: str) -> None:
        self.do(self.leases.pop(replica).close())
        self.leases[replica] = self.do(self.storage.leases.take(replica))
        self._disown(replica)
        self.buried.discard(replica)
        self.model.alive.add(replica)

    @rule(replica=replicas)
    def a_lease_is_renewed(self, replica: str) -> None:
        kept = self.do(self.leases[replica].renew())
        assert kept == (replica not in self.buried)
        if not kept:
            self._disown(replica)
        self.buried.discard(replica)
        self.model.alive.add(replica)

    def _disown(self, replica: str) -> None:
        """A lease that is new is empty: what an earlier one held is the reaper's."""
        for run in self.model.with_status("running"):
            if run.held_by == replica:
                run.held_by = None

    def _reaped(self) -> None:
        self.model.reap(MAX_ATTEMPTS)
        self.buried |= set(self.leases) - self.model.alive

    @precondition(lambda self: self.model.lost())
    @rule()
    def the_reaper_comes(self) -> None:
        lost = {run.run_id for run in self.model.lost()}

        reaped = self.do(self.storage.queue.reap(MAX_ATTEMPTS))

        assert {run.run_id for run in reaped} == lost
        self._reaped()

    @precondition(lambda self: self.model.lost())
    @rule()
    def many_reapers_come_at_once(self) -> None:
        lost = sorted(run.run_id for run in self.model.lost())

        async def reapers() -> list[str]:
            found = await asyncio.gather(*(self.storage.queue.reap(MAX_ATTEMPTS) for _ in range(3)))
            return sorted(run.run_id for runs in found for run in runs)

        assert self.do(reapers()) == lost
        self._reaped()

    @precondition(lambda self: self.model.runs)
    @rule(numbers=st.lists(picks, min_size=1, max_size=3), action=actions)
    def runs_are_cancelled(self, numbers: list[int], action: CancelAction) -> None:
        known = list(self.model.runs.values())
        if not known:
            return
        named = list(dict.fromkeys(known[number % len(known)].run_id for number in numbers))

        self.do(self.storage.queue.cancel(None, named, action))

        # The thread of a stateless run goes when the last of the cancelled has left it.
        for run in [self.model.runs[run_id] for run_id in named]:
            self.model.ask_to_stop(run, action)

    @rule(action=actions)
    def an_unknown_run_cancels_nobody(self, action: CancelAction) -> None:
        known = list(self.model.runs)[:2]
        with pytest.raises(NotFound):
            self.do(self.storage.queue.cancel(None, [*known, new_id()], action))

    @precondition(lambda self: self.model.runs)
    @rule(number=picks)
    def a_run_is_deleted(self, number: int) -> None:
        if run := self.pick(list(self.model.runs.values()), number):
            if run.unfinished:
                with pytest.raises(Conflict):
                    self.do(self.storage.runs.delete(run.thread_id, run.run_id))
            else:
                self.do(self.storage.runs.delete(run.thread_id, run.run_id))
                self.model.forget(run)

    @precondition(lambda self: self.model.rests)
    @rule(number=picks)
    def a_thread_is_deleted(self, number: int) -> None:
        threads = list(self.model.rests)
        if threads:
            thread_id = threads[number % len(threads)]
            self.do(self.storage.threads.delete(thread_id))
            self.model.delete_thread(thread_id)

    @precondition(lambda self: self.model.runs)
    @rule()
    def the_janitor_comes(self) -> None:
        expired = self.model.expire()
        assert self.do(self.storage.runs.expire(-1)) == len(expired)

    @invariant()
    def all_is_as_it_must_be(self) -> None:
        self.do(self._compare())

    async def _compare(self) -> None:
        for run in self.model.runs.values():
            seen = await self.storage.runs.get(run.run_id)
            assert (seen.status, seen.attempt, seen.cancel_requested) == (run.status, run.attempt, run.cancel)
            assert seen.attempt <= MAX_ATTEMPTS
        for run_id in self.model.deleted:
            with pytest.raises(NotFound):
                await self.storage.runs.get(run_id)
        for thread_id in self.model.rests:
            thread = await self.storage.threads.get(thread_id)
            assert thread.status == self.model.thread_status(thread_id)
            assert sum(run.status == "running" for run in self.model.on(thread_id)) <= 1
        for thread_id in self.model.gone_threads:
            with pytest.raises(NotFound):
                await self.storage.threads.get(thread_id)
        depth = await self.storage.queue.depth()
        claimable = self.model.claimable()
        for priority, seen_depth in (("high", depth.high), ("normal", depth.normal), ("low", depth.low)):
            assert seen_depth.waiting == sum(run.priority == priority for run in claimable)
        assert depth.blocked == len(self.model.with_status("pending")) - len(claimable)


@pytest.fixture
def in_sqlite(tmp_path: Path) -> Callable[[], Stories]:
    """Makes services, each with a file of its own."""

    def service() -> Stories:
        file = tmp_path / f"{new_id()}.db"

        def run_out(replica: str) -> None:
            with closing(sqlite3.connect(file)) as connection, connection:
                connection.execute("UPDATE lgs_replica SET held_until = 0 WHERE replica = ?", (replica,))

        return Stories(f"sqlite:///{file}", run_out)

    return service


@pytest.fixture
def in_postgres(postgres_uri: str) -> Iterator[Callable[[], Stories]]:
    """Makes services, each in the emptied tables of the one before."""
    with psycopg.connect(postgres_uri, autocommit=True) as beside:

        def run_out(replica: str) -> None:
            beside.execute("UPDATE lgs_replica SET expires_at = 'epoch' WHERE replica = %s", (replica,))

        def service() -> Stories:
            if beside.execute("SELECT to_regclass('lgs_run')").fetchone() != (None,):
                beside.execute(f"TRUNCATE {TABLES} CASCADE".encode())
            return Stories(postgres_uri, run_out)

        yield service


def test_the_queue_in_sqlite_does_what_the_model_does(in_sqlite: Callable[[], Stories]) -> None:
    run_state_machine_as_test(in_sqlite, settings=STORY)


def test_the_queue_in_postgres_does_what_the_model_does(in_postgres: Callable[[], Stories]) -> None:
    run_state_machine_as_test(in_postgres, settings=STORY)


def arrival(thread: int, priority: Priority, delay: float = 0.0) -> Arrival:
    return Arrival(thread, priority, "enqueue", delay, MANY, None, False)


@pytest.mark.parametrize("database", ["in_sqlite", "in_postgres"])
@pytest.mark.parametrize("slots", [1, 4])
@pytest.mark.parametrize(
    "came",
    [
        [arrival(0, Priority.LOW), arrival(1, Priority.LOW, -500)],
        [arrival(0, Priority.LOW), arrival(1, Priority.LOW, -500), arrival(2, Priority.NORMAL)],
    ],
    ids=["before its elders", "before the more urgent"],
)
def test_a_run_that_was_due_earlier_does_not_overtake_those_that_came_before_it(
    came: list[Arrival], slots: int, database: str, request: pytest.FixtureRequest
) -> None:
    story: Stories = request.getfixturevalue(database)()
    try:
        story.a_service_starts()
        story.runs_arrive(runs=came)

        while story.model.claimable():
            story.a_replica_claims(replica="r0", slots=slots)

        threads = [run.thread_id for _, run in story.handles]
        eldest, late, *urgent = story.threads[: len(came)]
        assert threads == [*urgent, eldest, late]
    finally:
        story.teardown()
