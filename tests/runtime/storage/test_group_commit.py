"""Group commit, against a model: whatever the order, and wherever it is cut, each thread's writes are stored
as a prefix of what was submitted, and what was acknowledged is stored."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lgs_runtime.backoff import Backoff
from lgs_runtime.checkpoint.postgres.row_encoding import Group
from lgs_runtime.checkpoint.rows import Rows
from lgs_runtime.database import group_commit
from lgs_runtime.database.group_commit import MOST_BYTES, GroupCommitter
from lgs_runtime.errors import StorageUnavailable
from support.loop_faults import faults_of_the_loop
from support.ports import PATIENCE_SECONDS

Work = tuple[str, int]

ENDS = ("stored", "lost", "stored, then cut off")
"""What a group meets: it is committed; the connection breaks before; it breaks before the answer."""


@dataclass
class Table:
    """A database that stores groups as a whole or not at all, and forgets no order."""

    ends: list[str] = field(default_factory=list)
    poison: frozenset[Work] = frozenset()
    stored: list[Work] = field(default_factory=list)
    groups: int = 0
    stopped: frozenset[Work] = frozenset()

    async def run(self, works: Sequence[Work]) -> Sequence[Work]:
        self.groups += 1
        end = self.ends.pop(0) if self.ends else "stored"
        await asyncio.sleep(0)
        if self.stopped & set(works):
            raise asyncio.CancelledError
        if self.poison & set(works):
            raise ValueError("a row that can't be stored")
        if end != "lost":
            self.stored += [work for work in works if work not in self.stored]
        if end != "stored":
            raise StorageUnavailable("cut")
        return works


SUBMISSIONS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.booleans(), st.integers(0, 2)), min_size=1, max_size=24
)
"""Thread, whether its encoding takes a thread, and how many turns of the loop pass before the next."""


async def submit_all(
    committer: GroupCommitter[Work, Work], submissions: Sequence[tuple[str, bool, int]]
) -> list[tuple[Work, asyncio.Future[Work]]]:
    """Submits them, numbered, and returns their futures."""
    submitted = []
    for number, (key, later, pause) in enumerate(submissions):
        work = (key, number)

        async def prepare(work: Work = work, turns: int = number % 3) -> tuple[Work, int]:
            for _ in range(turns):
                await asyncio.sleep(0)
            return work, 1

        done = committer.submit_later(key, prepare) if later else committer.submit(key, work, 1)
        submitted.append((work, done))
        for _ in range(pause):
            await asyncio.sleep(0)
    return submitted


def works_by_key(works: Sequence[Work]) -> dict[str, list[Work]]:
    """Works by key, in order."""
    return {key: [work for work in works if work[0] == key] for key in "abcd"}


@settings(max_examples=150, deadline=None)
@given(SUBMISSIONS, st.lists(st.sampled_from(ENDS), max_size=12), st.integers(1, 3), st.integers(0, 12))
def test_wherever_it_is_cut_each_thread_has_a_prefix(
    submissions: list[tuple[str, bool, int]], ends: list[str], at_once: int, turns: int
) -> None:
    table = Table(ends)

    async def story() -> list[tuple[Work, asyncio.Future[Work]]]:
        committer = GroupCommitter(table.run, at_once=at_once, patience_seconds=0.5)
        submitted = await submit_all(committer, submissions)
        for _ in range(turns):
            await asyncio.sleep(0)
        acknowledged = [work for work, done in submitted if done.done() and done.exception() is None]
        cut = list(table.stored)
        assert set(acknowledged) <= set(cut)
        for key, works in works_by_key([work for work, _ in submitted]).items():
            assert works_by_key(cut)[key] == works[: len(works_by_key(cut)[key])]
        await asyncio.wait([done for _, done in submitted])
        await committer.close()
        return submitted

    submitted = asyncio.run(story())

    for work, done in submitted:
        if done.exception() is None:
            assert work in table.stored and done.result() == work
    for key, works in works_by_key([work for work, _ in submitted]).items():
        assert works_by_key(table.stored)[key] == [work for work in works if work in table.stored]


@settings(max_examples=100, deadline=None)
@given(SUBMISSIONS, st.sets(st.integers(0, 23), max_size=3))
def test_a_row_that_can_not_be_stored_fails_alone(
    submissions: list[tuple[str, bool, int]], bad: set[int]
) -> None:
    works = [(key, number) for number, (key, _, _) in enumerate(submissions)]
    table = Table(poison=frozenset(work for work in works if work[1] in bad))

    async def story() -> list[tuple[Work, asyncio.Future[Work]]]:
        committer = GroupCommitter(table.run, at_once=2, patience_seconds=0.5)
        submitted = await submit_all(committer, submissions)
        await asyncio.wait([done for _, done in submitted])
        return submitted

    submitted = asyncio.run(story())

    failed = {work for work, done in submitted if isinstance(done.exception(), ValueError)}
    assert failed == table.poison
    for key, mine in works_by_key(works).items():
        assert works_by_key(table.stored)[key] == [work for work in mine if work not in failed]


async def test_what_could_not_be_stored_and_nobody_waits_for_any_more_is_no_fault_of_the_loop() -> None:
    committer = GroupCommitter(Table(["lost"] * 9).run, at_once=1, patience_seconds=0)

    with faults_of_the_loop() as faults:
        committer.submit("a", ("a", 0))
        await committer.settled("a")
        await committer.close()
        gc.collect()

    assert faults == []


async def test_what_gathers_while_a_group_is_under_way_goes_together() -> None:
    table = Table()
    committer = GroupCommitter(table.run, at_once=1, patience_seconds=0)

    first = committer.submit("a", ("a", 0))
    await asyncio.sleep(0)
    others = [committer.submit(f"{number}", ("b", number)) for number in range(50)]
    await asyncio.wait([first, *others])

    assert table.groups == 2


async def test_no_more_groups_are_under_way_than_there_are_connections_for() -> None:
    under_way, most, go_on = 0, 0, asyncio.Event()

    async def run(works: Sequence[Work]) -> Sequence[Work]:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await go_on.wait()
        under_way -= 1
        return works

    committer = GroupCommitter(run, at_once=2, patience_seconds=0, most_items=1)
    submitted = [committer.submit(f"{number}", ("a", number)) for number in range(5)]
    while under_way < 2:
        await asyncio.sleep(0)
    go_on.set()
    await asyncio.wait(submitted)

    assert most == 2


async def test_work_that_can_not_be_prepared_fails_with_its_reason_and_holds_nobody_up() -> None:
    table = Table()
    committer = GroupCommitter(table.run, at_once=1, patience_seconds=0)

    async def prepare() -> tuple[Work, int]:
        raise KeyError("no such channel")

    failed, last = committer.submit_later("a", prepare), committer.submit("a", ("a", 1))
    async with asyncio.timeout(PATIENCE_SECONDS):
        ends = await asyncio.gather(failed, last, return_exceptions=True)

    assert isinstance(ends[0], KeyError) and ends[1] == ("a", 1)


async def test_closing_waits_for_what_is_being_prepared() -> None:
    table, prepared = Table(), asyncio.Event()
    committer = GroupCommitter(table.run, at_once=1, patience_seconds=0)

    async def prepare() -> tuple[Work, int]:
        await prepared.wait()
        return ("a", 0), 1

    done = committer.submit_later("a", prepare)
    closed = asyncio.create_task(committer.close())
    for _ in range(5):
        await asyncio.sleep(0)
    waits = not closed.done()
    prepared.set()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await closed

    assert waits and done.result() == ("a", 0) and table.stored == [("a", 0)]


async def test_a_database_that_stays_away_is_told_of() -> None:
    table = Table(["lost"] * 1000)
    committer = GroupCommitter(table.run, at_once=1, patience_seconds=0.05)

    told = await asyncio.gather(*(committer.submit(key, (key, 0)) for key in "ab"), return_exceptions=True)

    assert [(type(each), str(each)) for each in told] == [(StorageUnavailable, "cut")] * 2
    assert told[0] is not told[1], "each raises its own, to which its traceback is added"
    assert table.stored == []


async def test_a_call_that_was_given_up_holds_nobody_up() -> None:
    table = Table()
    committer = GroupCommitter(table.run, at_once=1, patience_seconds=0)
    first = committer.submit("a", ("a", 0))
    given_up = committer.submit("a", ("a", 1))
    last = committer.submit("a", ("a", 2))

    given_up.cancel()
    await asyncio.wait([first, last])

    assert table.stored == [("a", 0), ("a", 2)]


async def test_who_is_alone_in_a_thread_comes_after_what_was_before_and_holds_up_what_comes() -> None:
    table = Table()
    committer = GroupCommitter(table.run, at_once=2, patience_seconds=0)
    before = committer.submit("a", ("a", 0))

    async with committer.alone("a"):
        assert before.done() and table.stored == [("a", 0)]
        after = committer.submit("a", ("a", 1))
        await committer.submit("b", ("b", 0))
        assert not after.done()

    await after
    assert table.stored == [("a", 0), ("b", 0), ("a", 1)]


async def test_closing_ends_what_is_under_way_and_takes_nothing_more() -> None:
    table = Table(["lost"] * 1000)
    committer = GroupCommitter(table.run, at_once=1, patience_seconds=3600)
    waiting = committer.submit("a", ("a", 0))
    await asyncio.sleep(0)

    async with asyncio.timeout(PATIENCE_SECONDS):
        await committer.close()

    with pytest.raises(StorageUnavailable):
        await waiting
    with pytest.raises(StorageUnavailable, match="closed"):
        committer.submit("a", ("a", 1))


async def test_closing_waits_for_no_pause_before_another_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "BACKOFF", Backoff(first_seconds=3600, longest_seconds=3600))
    table = Table(["lost"] * 1000)
    committer = GroupCommitter(table.run, at_once=1, patience_seconds=1e6)
    waiting = committer.submit("a", ("a", 0))
    while table.groups < 2:
        await asyncio.sleep(0)
    for _ in range(5):
        await asyncio.sleep(0)  # until it pauses

    async with asyncio.timeout(PATIENCE_SECONDS):
        await committer.close()

    with pytest.raises(StorageUnavailable):
        await waiting


async def test_a_group_whose_connections_a_restart_has_cut_is_tried_again_whatever_the_patience() -> None:
    table = Table(["lost"])
    committer = GroupCommitter(table.run, at_once=1, patience_seconds=0)

    assert await committer.submit("a", ("a", 0)) == ("a", 0)

    assert table.groups == 2


async def test_a_group_that_is_stopped_in_the_middle_is_told_to_its_callers_and_holds_nobody_up() -> None:
    """As when a program ends by cancelling all that it does, or a driver turns a time-out into that."""
    table = Table(stopped=frozenset({("a", 0)}))
    committer = GroupCommitter(table.run, at_once=1, patience_seconds=0)
    first, with_it = committer.submit("a", ("a", 0)), committer.submit("b", ("b", 0))

    async with asyncio.timeout(PATIENCE_SECONDS):
        ends = await asyncio.gather(first, with_it, return_exceptions=True)
        later = await committer.submit("a", ("a", 1))

    assert [type(end) for end in ends] == [StorageUnavailable, StorageUnavailable]
    assert later == ("a", 1) and table.stored == [("a", 1)]


async def test_a_group_is_no_larger_than_the_database_should_take_at_once() -> None:
    table = Table()
    committer = GroupCommitter(table.run, at_once=1, patience_seconds=0, most_items=2)

    await asyncio.wait([committer.submit(key, (key, 0), MOST_BYTES) for key in "abc"])
    of_many_threads = table.groups
    await asyncio.wait([committer.submit("a", ("a", number), MOST_BYTES) for number in range(1, 4)])
    of_one_thread = table.groups - of_many_threads
    await asyncio.wait([committer.submit(key, (key, 9), 1) for key in "abc"])

    assert (of_many_threads, of_one_thread, table.groups) == (3, 3, 8)


async def test_who_waits_until_a_thread_is_settled_waits_for_all_that_was_submitted_before() -> None:
    table = Table()
    committer = GroupCommitter(table.run, at_once=1, patience_seconds=0)
    submitted = [committer.submit("a", ("a", number), MOST_BYTES) for number in range(3)]

    await committer.settled("a")

    assert all(done.done() for done in submitted)
    await committer.settled("a")


async def test_a_thread_is_settled_when_who_is_alone_in_it_has_gone() -> None:
    committer = GroupCommitter(Table().run, at_once=1, patience_seconds=0)
    async with committer.alone("a"):
        settled = asyncio.create_task(committer.settled("a"))
        for _ in range(5):
            await asyncio.sleep(0)
        waits = not settled.done()

    async with asyncio.timeout(PATIENCE_SECONDS):
        await settled

    assert waits


KEYS = st.integers(0, 3)
CALLS = st.lists(
    st.tuples(st.sampled_from(["blob", "new", "replaced", "checkpoint"]), st.lists(KEYS, max_size=3)),
    max_size=12,
)


def rows_of(kind: str, keys: Sequence[int], call: int) -> Rows:
    """The rows of one call; what is not a key identifies the call."""
    if kind == "blob":
        return Rows(blobs=[("t", "", "c", str(key), "k", f"{call}") for key in keys])
    if kind == "checkpoint":
        return Rows(checkpoints=[("t", "", str(key), f"parent {call}", f"{call}", "{}") for key in keys])
    writes = [("t", "", "c", "task", f"path {call}", key, "ch", "k", f"{call}") for key in keys]
    return Rows(new_writes=writes) if kind == "new" else Rows(replaced_writes=writes)


def apply(table: dict[Any, Any], group: Group) -> None:
    """What the statements of a group do to the tables."""
    for row in group.blobs.values():
        table.setdefault(("blob", row[:4]), row[4:])
    for row in group.new_writes.values():
        table.setdefault(("write", row[:4], row[5]), (row[4], row[6:]))
    for row in group.replaced_writes.values():
        path, _ = table.get(("write", row[:4], row[5]), (row[4], None))
        table["write", row[:4], row[5]] = (path, row[6:])
    for row in group.checkpoints.values():
        parent, _ = table.get(("checkpoint", row[:3]), (row[3], None))
        table["checkpoint", row[:3]] = (parent, row[4:])


@settings(max_examples=300, deadline=None)
@given(CALLS, CALLS)
def test_a_group_does_what_its_calls_would_do_one_by_one(
    before: list[tuple[str, list[int]]], calls: list[tuple[str, list[int]]]
) -> None:
    one_by_one: dict[Any, Any] = {}
    for number, (kind, keys) in enumerate([*before, *calls]):
        for key in keys:
            single = Group()
            single.add(rows_of(kind, [key], number))
            apply(one_by_one, single)

    together: dict[Any, Any] = {}
    for first, part in ((0, before), (len(before), calls)):
        group = Group()
        for number, (kind, keys) in enumerate(part, first):
            group.add(rows_of(kind, keys, number))
        apply(together, group)

    assert together == one_by_one


async def test_what_was_to_go_after_what_failed_is_not_done() -> None:
    table = Table(poison=frozenset({("a", 1)}))
    committer = GroupCommitter(table.run, at_once=1, patience_seconds=0.0)
    first = committer.submit("a", ("a", 1), 1)
    second = committer.submit("a", ("a", 2), 1, after=first)
    third = committer.submit("a", ("a", 3), 1, after=second)
    alone = committer.submit("a", ("a", 4), 1)

    ends = await asyncio.gather(first, second, third, alone, return_exceptions=True)

    assert [type(end) for end in ends[:3]] == [ValueError, ValueError, ValueError]
    assert table.stored == [("a", 4)] and ends[3] == ("a", 4)


async def test_what_was_to_go_after_what_failed_is_not_done_in_a_later_group_either() -> None:
    table = Table(poison=frozenset({("a", 1)}))
    committer = GroupCommitter(table.run, at_once=1, patience_seconds=0.0)
    first = committer.submit("a", ("a", 1))
    while not table.groups:
        await asyncio.sleep(0)
    second = committer.submit("a", ("a", 2), after=first)
    alone = committer.submit("a", ("a", 3))

    ends = await asyncio.gather(first, second, alone, return_exceptions=True)

    assert [type(end) for end in ends[:2]] == [ValueError, ValueError]
    assert table.stored == [("a", 3)] and ends[2] == ("a", 3)
