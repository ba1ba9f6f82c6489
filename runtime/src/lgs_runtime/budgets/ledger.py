"""Counts what the runs of a service spend of its budgets, and decides whether another one may begin.

What calls of models spend is noted in memory, and written for all runs together once a second; then what all
replicas have spent since is read. So a run needs no further SQL statement, except the first run of a user who
has had none lately. A run that has begun is never stopped: runs under way may exceed a budget. What a replica
noted in its last second is lost if it is killed.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Final
from uuid import uuid4

import structlog

from lgs_runtime.budgets.limits import MOST, Budgets, Limit, Unit
from lgs_runtime.budgets.window import BUCKETS, SIZES, free_at, number_of, retry_after, size_of, used
from lgs_runtime.errors import BudgetUsedUp, StorageUnavailable
from lgs_runtime.model import Spent
from lgs_runtime.storage.contract import Spending

SERVICE: Final = ""
"""The name under which the spending of all runs together is counted."""
TURN_SECONDS: Final = 1.0
EXPIRE_SECONDS: Final = 600.0
MOST_USERS: Final = 10_000
"""How many users' sums are kept in memory; those of others are read when their next run comes."""
AT_A_TIME: Final = 500
"""How many users' sums are read again in a turn, first those of the users who asked first; the others wait
for the next turn."""
LATE_SECONDS: Final = 60.0
"""For how many seconds after its time an addition may still become visible."""
FRESH_SECONDS: Final = 60.0
"""If the last reading is younger than this, in seconds, only what came since is read."""
log = structlog.get_logger(__name__)
Amounts = dict[Unit, float]


@dataclass(slots=True)
class _Account:
    """What a user or the service has spent, by size and number of bucket, as last read."""

    buckets: dict[int, dict[int, Amounts]] = field(default_factory=lambda: defaultdict(dict))
    read_at: float = -inf
    """When it was last read, by the database's clock."""

    def read(self, found: Mapping[int, Mapping[int, Amounts]], moment: float, since: float | None) -> None:
        """Takes what was found at `moment`: everything, or what there is since `since`."""
        for size in {*self.buckets, *found}:
            current = number_of(size, moment)
            kept = {} if since is None else self.buckets[size]
            first = number_of(size, since or 0.0)
            before = {number: each for number, each in kept.items() if current - BUCKETS <= number < first}
            self.buckets[size] = {**before, **found.get(size, {})}
        self.read_at = moment


class Ledger:
    """The ledger of one replica. `note` may be called from any thread, all else only in the event loop.
    `clock` returns seconds since the epoch; the database's clock is what counts, and each reading tells how
    far off this one is."""

    def __init__(
        self,
        budgets: Budgets,
        spending: Spending,
        clock: Callable[[], float] = time.time,
        *,
        database_id: str = "",
    ) -> None:
        self.budgets = budgets
        self.refused: Counter[str] = Counter()
        """Refused runs, by the name of the budget."""
        self._spending = spending
        self._database_id = database_id
        self._clock = clock
        self._ahead = 0.0
        self._limits = {
            by_user: [each for each in budgets.limits if each.by_user is by_user] for by_user in (False, True)
        }
        self._sizes = {
            by_user: sorted({size_of(each) for each in limits}) for by_user, limits in self._limits.items()
        }
        self._noted: deque[tuple[str | None, str, float, float, float]] = deque()
        self._unwritten: dict[str, Amounts] = {}
        self._writer, self._number = uuid4().hex, 0
        self._pending: dict[str, Amounts] = {}
        """What is being written under `_number`, unchanged until the database says that it has it. If read
        meanwhile, it may count twice; it is never added twice."""
        self._accounts: OrderedDict[str, _Account] = OrderedDict()
        self._asked: dict[str, None] = {}
        self._expired_at: float | None = None
        self._lock = asyncio.Lock()
        """Guards the database: what is read during a write would be counted twice."""

    def note(
        self, user: str | None, model: str, input_tokens: float, output_tokens: float, cached_input: float
    ) -> None:
        """Notes that a call of a model ended, in a run of this user."""
        self._noted.append((user, model, input_tokens, output_tokens, cached_input))

    async def admit(self, user: str | None, runs: int = 1) -> None:
        """Raises `BudgetUsedUp` if runs of this user may not begin now, and `StorageUnavailable` if that
        can't be told. `runs`: how many are refused together."""
        self._gather()
        names = self._spenders(user)
        missing = [each for each in names if each not in self._accounts]
        if missing:
            async with self._lock:
                await self._read(missing)
        now = self._now()
        full = []
        for name in names:
            account, unwritten = self._account(name), self._not_written(name)
            self._asked[name] = None
            for limit in self._limits[name != SERVICE]:
                moment = free_at(limit, account.buckets[size_of(limit)], unwritten, now)
                if moment is not None:
                    full.append((limit, moment))
        if full:
            limit, _ = max(full, key=lambda each: each[1])
            self.refused[limit.name] += runs
            seconds = retry_after([moment for _, moment in full], now)
            raise BudgetUsedUp(limit.name, limit.most, seconds)

    async def turn(self) -> None:
        """Writes what was noted, and reads again what has been asked for since the last turn. Raises
        `StorageUnavailable`, in which case nothing is lost."""
        async with self._lock:
            await self._turn()

    async def write(self) -> None:
        """Writes what was noted. Raises `StorageUnavailable`, in which case the next call tries again."""
        async with self._lock:
            await self._write()

    async def close(self) -> None:
        """Writes what was noted last. Never raises: what can't be written now is lost."""
        try:
            await self.write()
        except StorageUnavailable as gone:
            log.warning("budget.lost", reason=str(gone), spent=self._not_written(SERVICE))

    async def _turn(self) -> None:
        await self._write()
        asked = list(self._asked)[:AT_A_TIME]
        for each in asked:
            del self._asked[each]
        service = [SERVICE] if self._limits[False] else []
        now = self._clock()
        is_due = self._expired_at is None or not 0 <= now - self._expired_at < EXPIRE_SECONDS
        if names := [*service, *(each for each in asked if each != SERVICE)]:
            # now and then everything is read, even what became visible too late
            await (self._read(names) if is_due else self._read_more(names))
        if is_due:
            self._expired_at = now
            # also the buckets of budgets that the service no longer has
            await self._spending.expire(SIZES)

    async def _write(self) -> None:
        self._gather()
        # first, unchanged, that of which nobody knows whether it is written
        await self._write_pending()
        if self._unwritten:
            self._pending, self._unwritten = self._unwritten, {}
            self._number += 1
            await self._write_pending()

    async def _write_pending(self) -> None:
        if not self._pending:
            return
        rows = [
            Spent(name, size, amounts.get("tokens", 0.0), amounts.get("cost", 0.0))
            for name, amounts in self._pending.items()
            for size in self._sizes[name != SERVICE]
        ]
        await self._spending.add(self._writer, self._number, rows)
        written, self._pending = self._pending, {}
        now = self._now()
        for name, amounts in written.items():
            if name in self._accounts:
                for size in self._sizes[name != SERVICE]:
                    _add(self._accounts[name].buckets[size].setdefault(number_of(size, now), {}), amounts)

    def used(self, limit: Limit) -> float | None:
        """What is used of a budget of the whole service; None while that is not known."""
        account = self._accounts.get(SERVICE)
        if account is None:
            return None
        return used(limit, account.buckets[size_of(limit)], self._not_written(SERVICE), self._now())

    def name_of(self, user: str | None) -> str:
        """The name under which a user's sums are kept: it tells nobody who the user is, has a fixed length,
        and differs in each database."""
        named = (user or "").encode("utf-8", "surrogatepass")
        return hmac.new(self._database_id.encode(), named, "sha256").hexdigest()[:32]

    def _spenders(self, user: str | None) -> list[str]:
        """The names under which the spending of this user's runs is counted."""
        of_users = [self.name_of(user)] if self._limits[True] else []
        return [SERVICE, *of_users] if self._limits[False] else of_users

    def _not_written(self, name: str) -> Amounts:
        both: Amounts = {}
        for each in (self._pending, self._unwritten):
            _add(both, each.get(name, {}))
        return both

    def _now(self) -> float:
        return self._clock() + self._ahead

    def _gather(self) -> None:
        """Adds up what threads have noted."""
        while self._noted:
            user, model, given, got, cached = self._noted.popleft()
            price = self.budgets.price(model)
            cost = 0.0 if price is None else price.cost(given, got, cached)
            amounts: Amounts = {"tokens": given + got, "cost": cost}
            for name in self._spenders(user):
                _add(self._unwritten.setdefault(name, {"tokens": 0.0, "cost": 0.0}), amounts)

    def _account(self, name: str) -> _Account:
        self._accounts.move_to_end(name)
        return self._accounts[name]

    async def _read_more(self, names: Collection[str]) -> None:
        """Reads what came since these were last read; for those last read long ago, everything."""
        reads = {each: self._accounts[each].read_at for each in names if each in self._accounts}
        fresh = {name: at for name, at in reads.items() if self._now() - at < FRESH_SECONDS}
        if fresh:
            await self._read(list(fresh), min(fresh.values()) - LATE_SECONDS)
        if others := [each for each in names if each not in fresh]:
            await self._read(others)

    async def _read(self, names: Collection[str], since: float | None = None) -> None:
        sizes = sorted({size for each in (False, True) for size in self._sizes[each]})
        at, rows = await self._spending.of(names, sizes, since=since)
        moment = at.timestamp()
        self._ahead = moment - self._clock()
        if since is not None and moment < since + LATE_SECONDS:
            # the clock was set back: what is written now lies before the last reading
            await self._read(names)
            return
        found: dict[str, dict[int, dict[int, Amounts]]] = {each: defaultdict(dict) for each in names}
        for row in rows:
            found[row.who][row.seconds][row.bucket] = {"tokens": row.tokens, "cost": row.cost}
        for name, each in found.items():
            self._accounts.setdefault(name, _Account()).read(each, moment, since)
        if SERVICE in self._accounts:
            self._accounts.move_to_end(SERVICE)
        while len(self._accounts) > MOST_USERS:
            self._accounts.popitem(last=False)


def _add(sums: Amounts, amounts: Mapping[Unit, float]) -> None:
    for unit, each in amounts.items():
        sums[unit] = min(MOST, sums.get(unit, 0.0) + each)
