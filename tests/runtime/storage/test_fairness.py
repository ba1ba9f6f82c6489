"""Who goes next: urgent runs first, none for ever last, and no group before another for being larger."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgs_runtime.model import AssignedPriority, NewRun, Outcome, Priority, QueueLimits, Run
from lgs_runtime.storage import StorageOptions, open_storage
from lgs_runtime.storage.fairness import (
    LEVEL,
    LEVELS,
    Waiting,
    in_line,
    next_turn,
    priority_of_level,
    rank_offset,
)
from lgs_runtime.storage.postgres.statements.queue import CLAIM, SPARE
from support.service import Service, new_id

MANY = QueueLimits(100_000, 100_000, 100_000)
LONGEST_OFFSET = rank_offset(5)


@dataclass
class Line:
    """A queue of one slot on a clock of its own, by nothing but the law."""

    now: float = 0.0
    waiting: dict[str, tuple[Waiting, str, float]] = field(default_factory=dict)
    """Run, its group, and when it came."""
    served: dict[int, int] = field(default_factory=dict)
    """The turn in service, by level."""
    count: int = 0

    def arrives(self, group: str, level: int = 0) -> str:
        self.count += 1
        run_id = f"{group}-{self.count}"
        of_level = [(run, name) for run, name, _ in self.waiting.values() if run.level == level]
        turn = next_turn(
            self.served.get(level),
            min((run.turn for run, _ in of_level), default=None),
            max((run.turn for run, name in of_level if name == group), default=None),
        )
        run = Waiting(run_id, level, turn, self.now + rank_offset(level))
        self.waiting[run_id] = (run, group, self.now)
        return run_id

    def serve(self) -> tuple[Waiting, str, float]:
        """The next run, with its group and when it came."""
        first = in_line(run for run, _, _ in self.waiting.values())[0]
        self.served[first.level] = first.turn
        return self.waiting.pop(first.run_id)


arrivals = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(list(LEVELS)), st.floats(0, 200)),
    min_size=1,
    max_size=60,
)


@given(arrivals)
def test_a_groups_runs_of_one_level_go_in_the_order_they_came(came: list[tuple[str, int, float]]) -> None:
    line = Line()
    for group, level, after in came:
        line.now += after
        line.arrives(group, level)

    order = [line.serve() for _ in came]

    for group in "abc":
        for level in LEVELS:
            times = [at for run, name, at in order if (run.level, name) == (level, group)]
            assert times == sorted(times)


@given(arrivals, st.lists(st.booleans(), max_size=120))
def test_between_two_runs_of_a_waiting_group_no_other_group_has_more_than_two_runs(
    came: list[tuple[str, int, float]], serves: list[bool]
) -> None:
    line = Line()
    steps = iter(came)
    since: dict[str, Counter[str]] = {}
    for serve in [*serves, *[False] * len(came)]:
        if serve and line.waiting:
            _, group, _ = line.serve()
            for name, others in since.items():
                others[group] += name != group
                assert others[group] <= 2, f"{group} went twice before {name}"
            since[group] = Counter()
        elif (step := next(steps, None)) is not None:
            line.now += step[2]
            line.arrives(step[0])
        waits = {group for _, group, _ in line.waiting.values()}
        since = {name: since.get(name, Counter()) for name in waits}


@given(arrivals, arrivals)
def test_two_minutes_later_only_runs_of_its_own_round_come_before_a_run(
    came: list[tuple[str, int, float]], later: list[tuple[str, int, float]]
) -> None:
    line = Line()
    for group, level, after in came:
        line.now += after
        line.arrives(group, level)
    began = line.now
    old = set(line.waiting)
    line.now += LONGEST_OFFSET + 0.001
    for group, _, _ in later:
        line.arrives(group, level=-5)

    order = [line.serve() for _ in range(len(came) + len(later))]

    for place, (run, _, _) in enumerate(order):
        if run.run_id in old:
            ahead = [one for one, _, at in order[:place] if at > began]
            assert all(one.level == run.level and one.turn <= run.turn for one in ahead)


@given(arrivals)
def test_who_comes_first_of_two_lone_groups_is_told_by_rank_alone(came: list[tuple[str, int, float]]) -> None:
    line = Line()
    for _, level, after in came:
        line.now += after
        line.arrives("default", level)
    expected = sorted((run for run, _, _ in line.waiting.values()), key=lambda run: run.rank)

    order = [line.serve()[0].rank for _ in came]

    assert order == [run.rank for run in expected]


def test_groups_that_come_without_end_do_not_starve_a_large_one() -> None:
    line = Line()
    for _ in range(20):
        line.arrives("large")
    served = Counter[str]()

    for number in range(400):
        line.arrives(f"new{number}")
        line.now += 1.0
        served[line.serve()[1]] += 1

    assert served["large"] >= 8


def test_a_rank_ages_by_the_time_that_runs_have_waited() -> None:
    low_for_two_minutes = -120.0 + rank_offset(LEVEL[Priority.LOW])
    normal_for_half_a_minute = -30.0 + rank_offset(LEVEL[Priority.NORMAL])

    assert low_for_two_minutes == normal_for_half_a_minute == 0.0
    assert rank_offset(LEVEL[Priority.HIGH]) == 0.0


def test_the_levels_keep_the_order_of_the_priorities() -> None:
    offsets = [rank_offset(level) for level in LEVELS]

    assert offsets == sorted(set(offsets))
    assert [priority_of_level(level) for level in LEVELS] == (
        [Priority.HIGH] * 4 + [Priority.NORMAL] * 3 + [Priority.LOW] * 4
    )


async def serve_all(service: Service, replica: str, slots: int = 1) -> Sequence[Run]:
    """Every waiting run, in the order they are claimed."""
    order: list[Run] = []
    while claimed := await service.storage.queue.claim(replica, slots):
        for run in claimed:
            order.append(run)
            await service.storage.queue.finish(run, replica, Outcome("success"))
    return order


async def test_a_run_of_a_small_group_does_not_wait_for_a_large_one(service: Service) -> None:
    replica = await service.replica()
    for _ in range(60):
        await service.enqueue(group="large", limits=MANY)
    small = await service.enqueue(group="small", limits=MANY)

    order = await serve_all(service, replica)

    assert [run.run_id for run in order].index(small.run.run_id) <= 2


@pytest.mark.parametrize("slots", [1, 3, 50])
async def test_groups_take_turns_whatever_they_have_waiting(service: Service, slots: int) -> None:
    replica = await service.replica()
    groups = {"a": 9, "b": 3, "c": 1}
    of: dict[str, str] = {}
    for group, runs in groups.items():
        for _ in range(runs):
            of[(await service.enqueue(group=group)).run.run_id] = group

    claimed = await service.storage.queue.claim(replica, min(slots, 7))

    counted = Counter(of[run.run_id] for run in claimed)
    expected = {1: {"a": 1}, 3: {"a": 1, "b": 1, "c": 1}, 50: {"a": 3, "b": 3, "c": 1}}[slots]
    assert counted == expected


async def test_a_replica_is_told_its_runs_in_the_order_of_the_turns(service: Service) -> None:
    replica = await service.replica()
    large, after = [(await service.enqueue(group="large")).run.run_id for _ in range(2)]
    small = (await service.enqueue(group="small")).run.run_id

    claimed = await service.storage.queue.claim(replica, 3)

    assert [run.run_id for run in claimed] == [large, small, after]


async def test_fairness_does_not_come_before_urgency(service: Service) -> None:
    replica = await service.replica()
    for _ in range(20):
        await service.enqueue(group="large", priority=Priority.HIGH)
    await service.enqueue(group="small", priority=Priority.LOW)

    order = await serve_all(service, replica)

    assert [run.priority for run in order] == [Priority.HIGH] * 20 + [Priority.LOW]


async def test_a_level_is_finer_than_a_priority(service: Service) -> None:
    replica = await service.replica()
    # Together, and so all at one time: who comes seconds later has a place that is so much later.
    new = [
        NewRun(
            new_id(),
            new_id(),
            service.assistant_id,
            {},
            create_thread=True,
            level=level,
            priority=priority_of_level(level),
            metadata={"level": level},
        )
        for level in (5, -2, 1, 0, -5, 2)
    ]
    stored = await service.storage.queue.enqueue_all(new, MANY)
    assert len({run.due_at for run in stored}) == 1, "the premise"

    order = await serve_all(service, replica)

    assert [run.metadata["level"] for run in order] == [-5, -2, 0, 1, 2, 5]


async def test_a_low_run_that_waited_two_minutes_goes_first_whatever_its_group(service: Service) -> None:
    replica = await service.replica()
    for _ in range(5):
        await service.enqueue(group="large", priority=Priority.LOW, delay_seconds=-300)
    for _ in range(3):
        await service.enqueue(group="small", priority=Priority.HIGH)

    order = await serve_all(service, replica)

    assert [run.priority for run in order] == [Priority.LOW] * 5 + [Priority.HIGH] * 3


async def test_a_run_that_was_handed_back_goes_before_every_group(service: Service) -> None:
    replica = await service.replica()
    held = [await service.running(group="large") for _ in range(2)]
    for group in ("a", "b", "c"):
        await service.enqueue(group=group)

    await service.storage.queue.release(replica, held[1:])
    order = await serve_all(service, replica)

    assert order[0].run_id == held[1].run_id


async def test_a_group_that_waited_alone_is_not_punished_for_it(service: Service) -> None:
    replica = await service.replica()
    for _ in range(40):
        await service.enqueue(group="large")
    for run in await service.storage.queue.claim(replica, 20):
        await service.storage.queue.finish(run, replica, Outcome("success"))
    of = {(await service.enqueue(group="new")).run.run_id: "new" for _ in range(20)}

    order = await serve_all(service, replica)

    assert Counter(of.get(run.run_id, "large") for run in order[:10]) == {"large": 5, "new": 5}


async def test_the_first_run_settles_where_its_thread_stands(service: Service) -> None:
    first = await service.enqueue(
        level=-3, priority=Priority.HIGH, group="g1", assigned_priority=AssignedPriority(-3, "g1")
    )
    await service.enqueue(first.run.thread_id, assigned_priority=AssignedPriority(4, "g2"))
    plain = await service.enqueue()

    assert (await service.storage.threads.get(first.run.thread_id)).assigned_priority == AssignedPriority(
        -3, "g1"
    )
    assert (await service.storage.threads.get(plain.run.thread_id)).assigned_priority is None


FILL = """
INSERT INTO lgs_run (run_id, thread_id, seq, assistant_id, status, priority, rank, metadata, kwargs,
                     multitask_strategy, delete_thread_after, attempt, due_at, level, fairness_group, turn,
                     graph_id)
SELECT 'run' || i, 'thread' || i, 1, 'a', 'pending', 1, extract(epoch FROM now()), '{}', '{}', 'enqueue',
       false, 0, now(), i % 11 - 5, 'g' || i % 300, i / 300 + 1, $1
FROM generate_series(1, 10000) i
"""


@pytest.mark.parametrize("graph", ["agent", None])
@pytest.mark.parametrize("analysed", [True, False])
async def test_a_claim_looks_at_a_few_of_ten_thousand_waiting_runs(
    postgres_uri: str, analysed: bool, graph: str | None
) -> None:
    storage = await open_storage(postgres_uri, StorageOptions(lease_seconds=600))
    lease = await storage.leases.take("r1", ["agent", "other"])
    connection = await asyncpg.connect(postgres_uri)
    try:
        await connection.execute(FILL, graph)
        if analysed:
            await connection.execute("ANALYZE lgs_run")

        plan = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {claim_of('r1', 10)}")

        looked_at = sum(rows_of(json.loads(plan)[0]["Plan"]))
        assert 10 <= looked_at <= 11 * (10 + SPARE) + 100
    finally:
        await connection.close()
        await lease.close()
        await storage.close()


def claim_of(replica: str, slots: int) -> str:
    """The statement with its values in it, since EXPLAIN takes none."""
    return CLAIM.replace("$1", f"'{replica}'").replace("$2", str(slots)).replace("$3", "NULL")


def rows_of(node: dict[str, Any]) -> Iterator[float]:
    """Rows of runs that each scan of a plan read, also those it discarded, but for lookups of one."""
    if node.get("Relation Name") == "lgs_run" and node["Node Type"] != "ModifyTable":
        removed = node.get("Rows Removed by Filter", 0)
        yield (node["Actual Rows"] + removed) * node["Actual Loops"]
    for child in node.get("Plans", ()):
        yield from rows_of(child)
