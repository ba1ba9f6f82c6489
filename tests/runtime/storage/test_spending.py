"""What is spent of budgets is added up by all replicas together, in buckets of the database's time."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from lgs_runtime.budgets.ledger import Ledger
from lgs_runtime.budgets.limits import Budgets, Limit
from lgs_runtime.errors import BudgetUsedUp
from lgs_runtime.model import Spent
from lgs_runtime.storage import Storage
from lgs_runtime.storage.contract import Spending

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
MINUTE = 60


NUMBERS = itertools.count(1)


async def add(spending: Spending, spent: Sequence[Spent], at: datetime | None = None) -> None:
    """Once more by the same writer."""
    await spending.add("writer", next(NUMBERS), spent, at)


def bucket(at: datetime, seconds: int = MINUTE) -> int:
    return int(at.timestamp() // seconds)


async def test_what_is_added_in_a_bucket_is_one_sum(storage: Storage) -> None:
    spending = storage.spending
    await add(spending, [Spent("", MINUTE, 10, 0.5), Spent("ada", MINUTE, 3, 0)], NOON)
    await add(spending, [Spent("", MINUTE, 5, 0.25), Spent("", 1440, 5, 0.25)], NOON + timedelta(seconds=59))
    await add(spending, [Spent("", MINUTE, 1, 0)], NOON + timedelta(seconds=60))

    at, found = await spending.of(["", "bob"], [MINUTE], NOON + timedelta(minutes=2))

    assert at == NOON + timedelta(minutes=2)
    assert sorted(found, key=lambda each: each.bucket) == [
        Spent("", MINUTE, 15, 0.75, bucket(NOON)),
        Spent("", MINUTE, 1, 0, bucket(NOON) + 1),
    ]
    _, both = await spending.of(["", "ada"], [MINUTE, 1440], NOON)
    assert {(each.who, each.seconds) for each in both} == {("", MINUTE), ("", 1440), ("ada", MINUTE)}


async def test_what_is_older_than_a_period_is_not_given_and_goes(storage: Storage) -> None:
    spending = storage.spending
    for minutes in (0, 1, 30, 61):
        at = NOON + timedelta(minutes=minutes)
        await add(spending, [Spent("", MINUTE, minutes + 1, 0), Spent("", 1440, 1, 0)], at)
    now = NOON + timedelta(minutes=61)

    _, found = await spending.of([""], [MINUTE], now)
    assert sorted(each.tokens for each in found) == [2, 31, 62]

    assert await spending.expire([MINUTE, 1440], now) == 1
    assert await spending.expire([MINUTE, 1440], now) == 0
    assert len((await spending.of([""], [MINUTE], now))[1]) == 3
    assert sum(each.tokens for each in (await spending.of([""], [1440], now))[1]) == 4


async def test_without_a_moment_it_is_the_databases_clock(storage: Storage) -> None:
    before = await storage.now()
    await add(storage.spending, [Spent("", 86400, 1, 2)])

    at, found = await storage.spending.of([""], [86400])

    assert before <= at <= await storage.now()
    assert [(each.tokens, each.cost) for each in found] == [(1, 2)]
    assert await storage.spending.expire([86400]) == 0


async def test_nobody_has_spent_anything_at_first(storage: Storage) -> None:
    at, found = await storage.spending.of(["", "ada"], [MINUTE], NOON)

    assert (at, list(found)) == (NOON, [])


@pytest.mark.parametrize("who", ["a\x00b", "\ud800", "ü" * 300, "'; DROP TABLE lgs_spent; --"])
async def test_whoever_spends_may_have_any_name(storage: Storage, who: str) -> None:
    await add(storage.spending, [Spent(who, MINUTE, 1, 0)], NOON)

    _, found = await storage.spending.of([who], [MINUTE], NOON)

    assert [each.who for each in found] == [who]


async def test_sums_stay_numbers(storage: Storage) -> None:
    for _ in range(3):
        await add(storage.spending, [Spent("", MINUTE, 1e15, 1e15)], NOON)

    _, (found,) = await storage.spending.of([""], [MINUTE], NOON)

    assert (found.tokens, found.cost) == (1e15, 1e15)


async def test_what_a_writer_adds_again_by_the_same_number_is_there_once(
    open_another: Callable[..., Awaitable[Storage]],
) -> None:
    """As after an answer that was lost, and where the first try still goes on when the second one comes."""
    one, other = [(await open_another()).spending for _ in range(2)]
    spent = [Spent("", MINUTE, 10, 0.5), Spent("ada", MINUTE, 3, 0)]

    await asyncio.gather(*(each.add("a", 1, spent, NOON) for each in (one, other, one)))
    await one.add("a", 1, spent, NOON + timedelta(minutes=1))
    await other.add("b", 1, spent, NOON)
    await one.add("a", 2, spent, NOON)

    _, found = await other.of(["", "ada"], [MINUTE], NOON)
    assert {each.who: each.tokens for each in found} == {"": 30, "ada": 9}

    await one.expire([MINUTE], NOON + timedelta(days=2))
    await one.add("a", 1, spent, NOON + timedelta(days=2))
    _, (again,) = await one.of([""], [MINUTE], NOON + timedelta(days=2))
    assert again.tokens == 10, "of who has not written for a day nothing is kept"


async def test_only_what_came_since_is_read_where_that_is_asked_for(storage: Storage) -> None:
    for minutes in range(5):
        await add(storage.spending, [Spent("", MINUTE, minutes + 1, 0)], NOON + timedelta(minutes=minutes))
    now = NOON + timedelta(minutes=62)

    async def tokens(since: datetime) -> list[float]:
        _, found = await storage.spending.of([""], [MINUTE], now, since=since.timestamp())
        return sorted(each.tokens for each in found)

    assert await tokens(NOON + timedelta(minutes=3, seconds=30)) == [4, 5]
    assert await tokens(NOON) == [3, 4, 5]
    assert await tokens(now) == []


async def test_replicas_that_add_at_once_lose_nothing_and_wait_for_nobody_for_ever(
    open_another: Callable[..., Awaitable[Storage]],
) -> None:
    replicas = [await open_another() for _ in range(3)]
    users = [f"user-{number}" for number in range(20)]

    async def adds(storage: Storage, writer: str, turned: Sequence[str]) -> None:
        for number in range(10):
            spent = [Spent(each, MINUTE, 1, 0) for each in turned]
            await storage.spending.add(writer, number, spent, NOON)

    await asyncio.gather(
        *(adds(each, str(n), users if n % 2 else users[::-1]) for n, each in enumerate(replicas))
    )

    _, found = await replicas[0].spending.of(users, [MINUTE], NOON)
    assert {each.tokens for each in found} == {30}
    assert len(found) == 20


class Simulated:
    """The database's sums on a clock of the test's own."""

    def __init__(self, spending: Spending) -> None:
        self._spending = spending
        self.now = NOON

    def seconds(self) -> float:
        return self.now.timestamp()

    async def add(self, writer: str, number: int, spent: Sequence[Spent], at: datetime | None = None) -> None:
        await self._spending.add(writer, number, spent, self.now)

    async def of(
        self,
        who: Collection[str],
        seconds: Collection[int],
        at: datetime | None = None,
        *,
        since: float | None = None,
    ) -> tuple[datetime, Sequence[Spent]]:
        return await self._spending.of(who, seconds, self.now, since=since)

    async def expire(self, seconds: Collection[int], at: datetime | None = None) -> int:
        return await self._spending.expire(seconds, self.now)


async def test_a_budget_is_one_for_all_replicas_through_an_hour_and_a_restart(
    open_another: Callable[..., Awaitable[Storage]],
) -> None:
    budgets = Budgets((Limit(1000, "tokens", 3600), Limit(600, "tokens", 3600, by_user=True)))
    clock = Simulated((await open_another()).spending)
    others = Simulated((await open_another()).spending)

    def replica(of: Simulated) -> Ledger:
        return Ledger(budgets, of, clock.seconds)

    def passes(minutes: float) -> None:
        clock.now += timedelta(minutes=minutes)
        others.now = clock.now

    first, second = replica(clock), replica(others)
    for each, user in ((first, "ada"), (second, "bob")):
        await each.admit(user)
        each.note(user, "m", 400, 0, 0)
        await each.turn()
    passes(10)
    first.note("ada", "m", 200, 0, 0)
    await first.turn()
    await second.turn()
    for each in (first, second, replica(others)):
        with pytest.raises(BudgetUsedUp, match="tokens-per-hour is used up"):
            await each.admit("bob")

    restarted = replica(clock)
    with pytest.raises(BudgetUsedUp) as refused:
        await restarted.admit("bob")
    passes(refused.value.retry_after_seconds / 60)
    await restarted.turn()
    await restarted.admit("bob")
    assert restarted.used(budgets.limits[0]) == 200
    await second.turn()
    await second.admit("ada")
