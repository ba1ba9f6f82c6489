"""The columns that a recorded load may have, under the names that logs and published traces
use, and their values.

Names are compared without case, spaces and punctuation. Azure's LLM traces (TIMESTAMP, GeneratedTokens) and
its traces of functions (end_timestamp, duration), BurstGPT (Timestamp, Response tokens, Elapsed time) and
Mooncake (timestamp in ms, output_length) are read as they are. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite

from lgs_operator.simulate.loads import LoadError

TIMES = (
    *("timestamp", "time", "arrival", "arrivaltime", "arrivedat", "createdat", "created", "starttime"),
    *("startedat", "start", "starttimestamp", "requesttime", "datetime", "date", "ts", "at"),
)
ENDS = ("endtimestamp", "endtime", "endedat", "finishedat", "completedat", "end")
LENGTHS = (
    *("runseconds", "durationseconds", "seconds", "duration", "elapsedtime", "elapsed", "elapsedseconds"),
    *("executiontime", "executionseconds", "servicetime", "latencyseconds", "latency"),
)
TOKENS = (
    "generatedtokens",
    "responsetokens",
    "outputtokens",
    "completiontokens",
    "outputlength",
    "outputlen",
)
MOONCAKE = frozenset({"timestamp", "inputlength", "outputlength"})
MILLISECONDS = "ms"
FIRST_SECONDS = 0.5
SECONDS_PER_TOKEN = 0.03
EPOCHS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
"""(least, divisor): a number of at least `least` is a time since 1970 in units of which a
second has `divisor`."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns, by their names in the file, that say when a run came and how long it took."""

    at: str | None
    end: str | None = None
    length: str | None = None
    tokens: str | None = None
    is_in_ms: bool = False

    @staticmethod
    def of(where: str, names: Sequence[str]) -> Columns:
        """The columns among these names of a file. Raises `LoadError` if none says when a run came."""
        plain = {_plain(name): name for name in reversed(names)}
        at, end, length = (_first(plain, known) for known in (TIMES, ENDS, LENGTHS))
        if at is None and (end is None or length is None):
            found = ", ".join(names)[:200] or "none"
            raise LoadError(
                f"{where}: the columns are {found}; one must say when a run came: {', '.join(TIMES)}"
                "; case, spaces and punctuation of a name do not matter"
            )
        return Columns(at, end, length, _first(plain, TOKENS), is_in_ms=set(plain) >= MOONCAKE)

    def words(self, run_seconds: float) -> str:
        """Where the lengths of runs come from, in words."""
        if self.length is not None:
            return f"length from {self.length}"
        if self.at is not None and self.end is not None:
            return f"length up to {self.end}"
        if self.tokens is not None:
            return f"length from {self.tokens}"
        return f"{run_seconds:g} s on average"

    def read(self, where: str, row: Mapping[str, object]) -> tuple[float, float | None]:
        """When the run came (seconds since some start), and how many seconds it took, None if the row does
        not say. Raises `LoadError`."""
        length = None if self.length is None else _amount(where, self.length, row.get(self.length))
        end = None if self.end is None else _time(where, self.end, row.get(self.end))
        if self.at is None:
            return (end or 0.0) - (length or 0.0), length
        at = _time(where, self.at, row.get(self.at), is_in_ms=self.is_in_ms)
        if length is None and end is not None:
            length = end - at
            if length < 0:
                raise LoadError(f"{where}: {self.end} is {-length:g} s before {self.at}; it must be after it")
        if length is None and self.tokens is not None:
            tokens = _amount(where, self.tokens, row.get(self.tokens))
            length = FIRST_SECONDS + SECONDS_PER_TOKEN * tokens
        return at, length


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _first(names: Mapping[str, str], known: Sequence[str]) -> str | None:
    """The name in the file of the first column of `known` that it has; the name may end in
    `ms`, milliseconds."""
    found = (names.get(each) or names.get(f"{each.removesuffix('seconds')}{MILLISECONDS}") for each in known)
    return next((name for name in found if name is not None), None)


def _in_ms(name: str) -> bool:
    return _plain(name).endswith(MILLISECONDS)


def _time(where: str, name: str, value: object, *, is_in_ms: bool = False) -> float:
    """The seconds since some start, from a date and time or from a number. Raises `LoadError`."""
    text = "" if value is None else str(value).strip()
    try:
        seconds = float(text)
        divisor = next((each for least, each in EPOCHS if seconds >= least), 1.0)
        seconds /= 1e3 if divisor == 1 and (is_in_ms or _in_ms(name)) else divisor
    except ValueError:
        seconds = _moment(text)
    if not isfinite(seconds):
        rule = "a time such as 2023-11-16 18:15:46.68, or a number of seconds"
        raise LoadError(f"{where}: {name} is {text[:60]!r}; it must be {rule}")
    return seconds


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return float("nan")


def _amount(where: str, name: str, value: object) -> float:
    text = "" if value is None else str(value).strip()
    try:
        amount = float(text)
    except ValueError:
        amount = float("nan")
    if not (isfinite(amount) and amount >= 0):
        raise LoadError(f"{where}: {name} is {text[:60]!r}; it must be a number of at least 0")
    return amount / 1e3 if _in_ms(name) else amount
