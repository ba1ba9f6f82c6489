"""Budgets: what they may be, how much of one is used up at a moment, and who counts."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from threading import Thread
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lgs_runtime.budgets.exposition import BudgetSeries
from lgs_runtime.budgets.ledger import MOST_USERS, SERVICE, Ledger
from lgs_runtime.budgets.limits import MOST, Budgets, Limit, Price, parse_budgets
from lgs_runtime.budgets.window import BUCKETS, free_at, number_of, size_of, used
from lgs_runtime.errors import BudgetUsedUp, ConfigError, StorageUnavailable
from lgs_runtime.model import Spent

START = 1_700_000_000.0
HOUR = Limit(100, "tokens", 3600)
DAY = Limit(100, "tokens", 86400)
PRICES = {
    "big": Price(input=3, output=15, cached_input=0.3),
    "big-*": Price(input=2, output=10, cached_input=2),
    "big-mini*": Price(input=1, output=4, cached_input=1),
}


class Kept:
    """A database of budgets on a clock of the test's own, which may be ahead of the replicas'."""

    def __init__(self, now: float = START) -> None:
        self.now = now
        self.rows: dict[tuple[str, int, int], list[float]] = {}
        self.away = False
        self.unanswered = False
        self.numbers: dict[str, int] = {}
        self.calls: list[str] = []
        self.given = 0
        """Rows that were read."""

    async def add(self, writer: str, number: int, spent: Sequence[Spent], at: datetime | None = None) -> None:
        self._called("add")
        if number <= self.numbers.get(writer, 0):
            return
        self.numbers[writer] = number
        for each in spent:
            row = self.rows.setdefault((each.who, each.seconds, int(self.now // each.seconds)), [0.0, 0.0])
            row[0] += each.tokens
            row[1] += each.cost
        if self.unanswered:
            raise StorageUnavailable("it was written, and nobody heard of it")

    async def of(
        self,
        who: Collection[str],
        seconds: Collection[int],
        at: datetime | None = None,
        *,
        since: float | None = None,
    ) -> tuple[datetime, Sequence[Spent]]:
        self._called("of")
        found = [
            Spent(name, size, *sums, bucket=bucket)
            for (name, size, bucket), sums in self.rows.items()
            if name in who
            and size in seconds
            and bucket >= max(int(self.now // size) - BUCKETS, int((since or 0) // size))
        ]
        self.given += len(found)
        return datetime.fromtimestamp(self.now, UTC), found

    async def expire(self, seconds: Collection[int], at: datetime | None = None) -> int:
        self._called("expire")
        old = [key for key in self.rows if key[1] in seconds and key[2] < int(self.now // key[1]) - BUCKETS]
        for key in old:
            del self.rows[key]
        return len(old)

    def _called(self, name: str) -> None:
        if self.away:
            raise StorageUnavailable("it is away")
        self.calls.append(name)


def ledger(
    kept: Kept,
    *limits: Limit,
    prices: dict[str, Price] | None = None,
    behind: float = 0,
    database_id: str = "a",
) -> Ledger:
    budgets = Budgets(limits, prices or {})
    return Ledger(budgets, kept, lambda: kept.now - behind, database_id=database_id)


def parsed(**section: Any) -> Budgets:
    found = parse_budgets(json.dumps(section))
    assert found is not None
    return found


def test_a_section_is_read_as_it_is_written() -> None:
    found = parsed(
        limits=[{"tokens": 1000, "per": "Hour"}, {"cost": 2.5, "per": "Day", "of": "User"}],
        prices={"big": {"input": 3, "output": 15}, "*": {"input": 5, "output": 20}},
    )

    assert found.limits == (Limit(1000, "tokens", 3600), Limit(2.5, "cost", 86400, by_user=True))
    assert [each.name for each in found.limits] == ["tokens-per-hour", "cost-per-day-by-user"]
    assert found.prices == {"big": Price(3, 15, cached_input=3), "*": Price(5, 20, cached_input=5)}
    assert parse_budgets("") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "LGS_BUDGETS: {: must be JSON"),
        ("{}", "LGS_BUDGETS.limits: null: must be a list of at least one budget"),
        ('{"limits": []}', "LGS_BUDGETS.limits: []: must be a list of at least one budget"),
        ('{"limits": [{"per": "Hour"}]}', "limits[0]: none of them: must have exactly one of tokens, cost"),
        (
            '{"limits": [{"tokens": 1, "cost": 1, "per": "Hour"}]}',
            "limits[0]: tokens cost: must have",
        ),
        ('{"limits": [{"tokens": 0, "per": "Hour"}]}', "limits[0].tokens: 0: must be more than 0"),
        ('{"limits": [{"tokens": 1, "per": "Week"}]}', 'limits[0].per: "Week": must be one of Hour, Day'),
        (
            '{"limits": [{"tokens": 1, "per": "Day", "of": "All"}]}',
            'limits[0].of: "All": must be one of',
        ),
        ('{"limits": [{"tokens": 1, "per": "Day", "by": "User"}]}', "limits[0].by: unknown"),
        (
            '{"limits": [{"tokens": 1, "per": "Day"}, {"tokens": 2, "per": "Day"}]}',
            "tokens-per-day: must be",
        ),
        ('{"limits": [{"cost": 1, "per": "Day"}]}', "LGS_BUDGETS.prices: none for *: must be given"),
        (
            '{"limits": [{"cost": 1, "per": "Day"}], "prices": {"m": {"input": 1, "output": 1}}}',
            "LGS_BUDGETS.prices: none for *: must be given",
        ),
        (
            '{"limits": [{"cost": 1, "per": "Day"}], "prices": {"m": {"input": 1}}}',
            "LGS_BUDGETS.prices.m.output: null: must be given",
        ),
        (
            '{"limits": [{"cost": 1, "per": "Day"}], "prices": {"m": {"input": -1, "output": 1}}}',
            "LGS_BUDGETS.prices.m.input: -1: must be more than 0",
        ),
        ('{"limits": [{"tokens": NaN, "per": "Day"}]}', "limits[0].tokens: nan: must be more than 0"),
    ],
)
def test_a_section_that_cannot_work_is_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_budgets(text)

    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("model", "price"),
    [
        ("big", "big"),
        ("big-2030-01-01", "big-*"),
        ("big-mini-2030", "big-mini*"),
        ("small", None),
        ("", None),
    ],
)
def test_a_model_has_the_price_of_its_name_or_of_its_longest_beginning(model: str, price: str | None) -> None:
    found = Budgets((HOUR,), PRICES).price(model)

    assert found == (None if price is None else PRICES[price])


def test_what_a_provider_had_in_its_cache_has_a_price_of_its_own() -> None:
    assert PRICES["big"].cost(1_000_000, 100_000, 400_000) == pytest.approx(0.6 * 3 + 0.4 * 0.3 + 0.1 * 15)
    assert PRICES["big"].cost(10, 0, 400_000) == pytest.approx(10 * 0.3 / 1e6), "no more than there was"


moments = st.floats(0, 4 * 3600)
amounts = st.integers(0, 60)
story = st.lists(st.tuples(moments, amounts), max_size=30)


def in_buckets(limit: Limit, spent: list[tuple[float, int]]) -> dict[int, dict[Any, float]]:
    found: dict[int, dict[Any, float]] = {}
    for at, each in spent:
        number = number_of(size_of(limit), START + at)
        found.setdefault(number, {"tokens": 0.0})["tokens"] += each
    return found


@settings(max_examples=200, deadline=None)
@given(story, amounts, st.sampled_from([HOUR, Limit(1, "tokens", 3600), DAY]))
def test_what_is_used_up_is_free_when_it_is_said_and_not_a_bucket_before(
    spent: list[tuple[float, int]], unwritten: int, limit: Limit
) -> None:
    now = START + 4 * 3600
    buckets, more = in_buckets(limit, spent), {"tokens": float(unwritten)}
    moment = free_at(limit, buckets, more, now)  # type: ignore[arg-type]

    assert (moment is not None) == (used(limit, buckets, more, now) >= limit.most)  # type: ignore[arg-type]
    if moment is not None:
        # what was not written yet stands in the bucket that went on then
        numbered = {number: dict(each) for number, each in buckets.items()}
        current = numbered.setdefault(number_of(size_of(limit), now), {"tokens": 0.0})
        current["tokens"] += unwritten
        assert now < moment <= now + limit.seconds + size_of(limit)
        assert used(limit, numbered, {}, moment) < limit.most
        assert used(limit, numbered, {}, moment - size_of(limit)) >= limit.most


@settings(max_examples=100, deadline=None)
@given(story)
def test_in_no_hour_more_counts_as_free_than_there_is(spent: list[tuple[float, int]]) -> None:
    """Whatever counts as used at a moment has in it all that was spent in the hour before."""
    for now in (START + at for at, _ in spent):
        until = [(at, each) for at, each in spent if START + at <= now]
        lately = sum(each for at, each in until if START + at > now - HOUR.seconds)

        assert used(HOUR, in_buckets(HOUR, until), {}, now) >= lately


async def test_a_run_is_refused_when_a_budget_is_used_up_until_enough_of_it_is_over() -> None:
    kept = Kept()
    spends = ledger(kept, HOUR)
    await spends.admit(None)
    spends.note(None, "big", 60, 39, 0)
    await spends.turn()
    await spends.admit(None)

    spends.note(None, "big", 1, 0, 0)
    with pytest.raises(BudgetUsedUp, match="budget tokens-per-hour is used up: 100 may be spent") as refused:
        await spends.admit(None)

    seconds = refused.value.retry_after_seconds
    assert 3600 < seconds <= 3660
    await spends.turn()
    for passed, is_free in ((seconds - 1, False), (1, True)):
        kept.now += passed
        if not is_free:
            with pytest.raises(BudgetUsedUp):
                await spends.admit(None)
    await spends.admit(None)
    assert spends.refused == {"tokens-per-hour": 2}


@pytest.mark.parametrize(("most", "words"), [(5_000_000, "5000000"), (0.5, "0.5"), (12_345_678, "12345678")])
def test_a_refusal_has_its_budget_as_the_manifest_has_it(most: float, words: str) -> None:
    assert f": {words} may be spent" in str(BudgetUsedUp("cost-per-day", most, 60))


async def test_another_replica_and_one_that_comes_later_know_what_was_spent() -> None:
    kept = Kept()
    first, second = ledger(kept, HOUR), ledger(kept, HOUR)
    for each in (first, second):
        await each.admit(None)
        each.note(None, "big", 50, 0, 0)
        await each.turn()

    await first.turn()
    for each in (first, second, ledger(kept, HOUR)):
        with pytest.raises(BudgetUsedUp):
            await each.admit(None)


async def test_one_user_is_refused_and_others_are_not() -> None:
    kept = Kept()
    spends = ledger(kept, Limit(100, "tokens", 3600, by_user=True))
    spends.note("ada", "big", 100, 0, 0)

    with pytest.raises(BudgetUsedUp, match="tokens-per-hour-by-user"):
        await spends.admit("ada")

    await spends.admit("bob")
    await spends.turn()
    assert {who for who, _, _ in kept.rows} == {spends.name_of("ada")}, "nobody's name is written"


async def test_the_longest_wait_is_told_of_several_budgets() -> None:
    kept = Kept()
    spends = ledger(kept, HOUR, DAY)
    spends.note(None, "big", 100, 0, 0)

    with pytest.raises(BudgetUsedUp, match="tokens-per-day") as refused:
        await spends.admit(None)

    assert refused.value.retry_after_seconds > 86400


async def test_cost_is_counted_by_the_prices() -> None:
    kept = Kept()
    spends = ledger(kept, Limit(1, "cost", 3600), prices=PRICES)
    spends.note(None, "big", 200_000, 20_000, 0)
    await spends.admit(None)

    spends.note(None, "big-2030", 50_000, 0, 0)
    with pytest.raises(BudgetUsedUp, match="cost-per-hour"):
        await spends.admit(None)


async def test_a_run_takes_no_statement_of_a_user_who_was_here_lately() -> None:
    kept = Kept()
    spends = ledger(kept, HOUR, Limit(50, "tokens", 3600, by_user=True))
    for _ in range(20):
        await spends.admit("ada")
        spends.note("ada", "big", 1, 1, 0)

    assert kept.calls == ["of"], "for the first run"
    await spends.turn()
    assert kept.calls == ["of", "add", "of", "expire"]


async def test_what_cannot_be_written_now_is_written_later_and_counts_meanwhile() -> None:
    kept = Kept()
    spends = ledger(kept, HOUR)
    await spends.admit(None)
    kept.away = True
    spends.note(None, "big", 99, 0, 0)
    for _ in range(3):
        with pytest.raises(StorageUnavailable):
            await spends.turn()
    await spends.admit(None)
    spends.note(None, "big", 1, 0, 0)
    with pytest.raises(BudgetUsedUp):
        await spends.admit(None)

    kept.away = False
    await spends.close()

    assert [sums[0] for sums in kept.rows.values()] == [100.0]


async def test_what_was_written_and_never_answered_counts_once() -> None:
    kept = Kept()
    spends = ledger(kept, HOUR)
    kept.unanswered = True
    for tokens in (30, 5, 5):
        spends.note(None, "big", tokens, 0, 0)
        with pytest.raises(StorageUnavailable):
            await spends.turn()

    kept.unanswered = False
    await spends.turn()

    assert [sums[0] for sums in kept.rows.values()] == [40.0]
    assert spends.used(HOUR) == 40
    again = ledger(kept, HOUR)
    await again.admit(None)
    again.note(None, "big", 2, 0, 0)
    await again.turn()
    assert again.used(HOUR) == 42, "another process has numbers of its own"


async def test_what_was_being_written_when_the_replica_stopped_counts_once() -> None:
    kept = Kept()
    spends = ledger(kept, HOUR)
    kept.unanswered = True
    spends.note(None, "big", 30, 0, 0)
    with pytest.raises(StorageUnavailable):
        await spends.write()
    kept.unanswered = False

    await spends.close()

    assert [sums[0] for sums in kept.rows.values()] == [30.0]


async def test_of_users_who_are_known_only_what_came_since_is_read() -> None:
    """Each has spent something in each minute of the hour."""
    kept = Kept()
    spends = ledger(kept, Limit(1000, "tokens", 3600, by_user=True))
    users = [f"user-{number}" for number in range(50)]
    for _ in range(BUCKETS):
        kept.now += size_of(HOUR)
        for user in users:
            spends.note(user, "big", 1, 0, 0)
        await spends.write()
    for user in users:
        await spends.admit(user)
    await spends.turn()
    kept.given = 0

    other = ledger(kept, Limit(1000, "tokens", 3600, by_user=True))
    other.note(users[0], "big", 939, 0, 0)
    await other.write()
    for user in users:
        await spends.admit(user)
    await spends.turn()

    assert kept.given <= 3 * len(users)
    other.note(users[0], "big", 1, 0, 0)
    await other.write()
    await spends.admit(users[0])
    await spends.turn()
    with pytest.raises(BudgetUsedUp):
        await spends.admit(users[0])
    kept.now += 2 * size_of(HOUR)
    await spends.admit(users[0])


async def test_a_user_has_another_name_in_another_database() -> None:
    kept = Kept()
    one, other = (ledger(kept, HOUR, database_id=each) for each in ("a", "b"))

    assert one.name_of("ada") == ledger(kept, HOUR, database_id="a").name_of("ada")
    assert len({one.name_of("ada"), other.name_of("ada"), one.name_of("bob")}) == 3


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(("begin", "spend", "turn"))), max_size=120))
async def test_no_run_begins_where_what_a_replica_spent_and_what_others_wrote_before_its_turn_is_all(
    moves: list[tuple[int, str]],
) -> None:
    """So a budget is exceeded by what runs spend that had begun before, and by those that replicas take in
    the second before their next turn, and by nothing else."""
    kept = Kept()
    replicas = [ledger(kept, HOUR) for _ in range(3)]
    for each in replicas:
        await each.admit(None)
    written, unwritten, known = 0, [0, 0, 0], [0, 0, 0]
    for which, move in moves:
        each = replicas[which]
        if move == "turn":
            await each.turn()
            written, unwritten[which] = written + unwritten[which], 0
            known[which] = written
        elif move == "spend":
            each.note(None, "big", 20, 0, 0)
            unwritten[which] += 20
            known[which] += 20
        else:
            refused = False
            try:
                await each.admit(None)
            except BudgetUsedUp:
                refused = True
            assert refused == (known[which] >= HOUR.most)


async def test_who_closes_without_a_database_says_what_is_lost() -> None:
    kept = Kept()
    spends = ledger(kept, HOUR)
    spends.note(None, "big", 1, 0, 0)
    kept.away = True

    await spends.close()


async def test_it_is_the_databases_clock_that_counts() -> None:
    kept = Kept()
    spends = ledger(kept, HOUR, behind=7200)
    await spends.admit(None)
    spends.note(None, "big", 100, 0, 0)
    await spends.turn()

    with pytest.raises(BudgetUsedUp) as refused:
        await spends.admit(None)

    assert 3600 < refused.value.retry_after_seconds <= 3660


async def test_a_clock_that_was_ahead_for_a_moment_closes_nothing_for_long() -> None:
    """The database's was a day ahead when all was spent, and was put right."""
    kept = Kept(START + 86400)
    spends = ledger(kept, HOUR)
    spends.note(None, "big", 100, 0, 0)
    await spends.turn()
    with pytest.raises(BudgetUsedUp):
        await spends.admit(None)

    kept.now = START
    await spends.turn()

    await spends.admit(None)
    assert spends.used(HOUR) == 0


async def test_a_database_that_takes_over_may_be_a_little_behind() -> None:
    kept = Kept(START)
    spends = ledger(kept, HOUR)
    spends.note(None, "big", 100, 0, 0)
    await spends.turn()

    kept.now = START - size_of(HOUR)
    await spends.turn()

    with pytest.raises(BudgetUsedUp) as refused:
        await spends.admit(None)
    assert refused.value.retry_after_seconds <= 3600 + 2 * size_of(HOUR)


async def test_threads_may_note_while_the_loop_counts() -> None:
    kept = Kept()
    spends = ledger(kept, Limit(1e9, "tokens", 3600))

    def notes() -> None:
        for _ in range(2000):
            spends.note(None, "big", 1, 0, 0)

    threads = [Thread(target=notes) for _ in range(4)]
    for each in threads:
        each.start()
    while any(each.is_alive() for each in threads):
        await spends.turn()
    for each in threads:
        each.join()
    await spends.turn()

    assert [sums[0] for sums in kept.rows.values()] == [8000.0]


async def test_the_sums_of_many_users_are_not_all_kept() -> None:
    kept = Kept()
    spends = ledger(kept, HOUR, Limit(50, "tokens", 3600, by_user=True))
    for number in range(MOST_USERS + 50):
        await spends.admit(str(number))

    assert len(spends._accounts) <= MOST_USERS
    assert SERVICE in spends._accounts


async def test_what_a_budget_left_that_is_there_no_more_goes_in_time() -> None:
    kept = Kept()
    earlier = ledger(kept, Limit(50, "tokens", 86400, by_user=True))
    earlier.note("ada", "big", 1, 1, 0)
    await earlier.close()
    assert [key[1] for key in kept.rows] == [1440]

    kept.now += 2 * 86400
    await ledger(kept, HOUR).turn()

    assert not kept.rows


async def test_tokens_that_no_model_can_take_stay_a_number() -> None:
    kept = Kept()
    spends = ledger(kept, HOUR)
    for _ in range(3):
        spends.note(None, "big", 1e308, 1e308, 0)
    await spends.write()

    assert max(sums[0] for sums in kept.rows.values()) <= MOST


async def test_the_page_has_what_is_used_and_left_and_no_user() -> None:
    kept = Kept()
    spends = ledger(kept, HOUR, Limit(50, "tokens", 86400, by_user=True))
    assert "lgs_budget_used" not in shown(spends), "nobody has asked yet"
    await spends.admit("ada")
    spends.note("ada", "big", 120, 0, 0)
    await spends.turn()
    with pytest.raises(BudgetUsedUp):
        await spends.admit("ada", runs=3)

    found = shown(spends)
    assert found["lgs_budget_limit"] == {"tokens-per-hour": 100, "tokens-per-day-by-user": 50}
    assert found["lgs_budget_used"] == {"tokens-per-hour": 120}
    assert found["lgs_budget_left"] == {"tokens-per-hour": 0}
    assert sum(found["lgs_budget_refused_total"].values()) == 3


def shown(spends: Ledger) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for family in BudgetSeries(spends).collect():
        for sample in family.samples:
            found.setdefault(sample.name, {})[sample.labels.get("budget", "")] = sample.value
    return found
