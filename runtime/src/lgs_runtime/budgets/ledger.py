"""What the runs of a service spend of its budgets, and whether another one may begin.

What models' calls cost is noted in memory, and written together once a second, after which what all replicas
have spent since is read; so a run takes no statement more, but for the first of a user of late. A run that
has begun is never stopped: a budget may be exceeded by what runs under way spend. What a replica noted in
its last second is lost if it is killed.
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
"""Who spends what all runs do together."""
TURN_SECONDS: Final = 1.0
EXPIRE_SECONDS: Final = 600.0
MOST_USERS: Final = 10_000
"""Whose sums are kept in memory; of others they are read when their next run comes."""
AT_A_TIME: Final = 500
"""Users whose sums are read again in a turn: those who asked longest ago wait for the next."""
LATE_SECONDS: Final = 60.0
"""So long after its moment what is added may be seen."""
FRESH_SECONDS: Final = 60.0
"""What was read no longer ago is not read again but for what came since."""
log = structlog.get_logger(__name__)
Amounts = dict[Unit, float]


@dataclass(slots=True)
class _Account:
    """What one has spent, by the size and number of buckets, as it was read last."""

    buckets: dict[int, dict[int, Amounts]] = field(default_factory=lambda: defaultdict(dict))
    read_at: float = -inf
    """By the database's clock."""

    def read(self, found: Mapping[int, Mapping[int, Amounts]], moment: float, since: float | None) -> None:
        """Takes what was found of `moment`: all of it, or what there is since then."""
        for size in {*self.buckets, *found}:
            current = number_of(size, moment)
            kept = {} if since is None else self.buckets[size]
            first = number_of(size, since or 0.0)
            before = {number: each for number, each in kept.items() if current - BUCKETS <= number < first}
            self.buckets[size] = {**before, **found.get(size, {})}
        self.read_at = moment


class Ledger:
    """Of one replica. Calls may be noted from any thread; all else is for the event loop. `clock` gives
    seconds since the epoch; the database's is what counts, and each reading tells how far off this one is."""

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
        """By the name of the budget."""
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
        """What is written by that number, and nothing else is, until the database says that it has it. Read
        meanwhile it may count twice; it is never added twice."""
        self._accounts: OrderedDict[str, _Account] = OrderedDict()
        self._asked: dict[str, None] = {}
        self._expired_at: float | None = None
        self._lock = asyncio.Lock()
        """Of the database: what is read in the midst of a write would be counted twice."""

    def note(
        self, user: str | None, model: str, input_tokens: float, output_tokens: float, cached_input: float
    ) -> None:
        """A call of a model ended, in a run of this user."""
        self._noted.append((user, model, input_tokens, output_tokens, cached_input))

    async def admit(self, user: str | None, runs: int = 1) -> None:
        """Raises `BudgetUsedUp` where runs of this user may not begin now, and `StorageUnavailable` where
        nobody can tell. `runs` are refused together."""
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
        `StorageUnavailable`; nothing is lost then."""
        async with self._lock:
            await self._turn()

    async def write(self) -> None:
        """Writes what was noted. Raises `StorageUnavailable`; the next one tries again then."""
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
            # now and then all, whatever came later than it may
            await (self._read(names) if is_due else self._read_more(names))
        if is_due:
            self._expired_at = now
            # also of budgets that the service has no more
            await self._spending.expire(SIZES)

    async def _write(self) -> None:
        self._gather()
        # first that of which nobody knows whether it is there, as it was
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
        """Of a budget of the whole service; None where it is not known yet."""
        account = self._accounts.get(SERVICE)
        if account is None:
            return None
        return used(limit, account.buckets[size_of(limit)], self._not_written(SERVICE), self._now())

    def name_of(self, user: str | None) -> str:
        """By which a user's sums are kept: it tells nobody who it is, has a length of its own, and is another
        one in each database."""
        named = (user or "").encode("utf-8", "surrogatepass")
        return hmac.new(self._database_id.encode(), named, "sha256").hexdigest()[:32]

    def _spenders(self, user: str | None) -> list[str]:
        """By which names what this user's run spends is counted."""
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
        """Reads what came since these were read last; of those that were read long ago all."""
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
            # a clock that was set back: what is written now lies before what was read last
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
