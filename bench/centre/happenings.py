"""What the service did by itself, from its own logs: the decisions of the scaling law, what `lgs up` says of
its replicas, and what replicas say of recovery, of their circuits and of their cache. Pure.

Nothing here comes from the script that made the faults. Times are seconds since the epoch.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

Record = Mapping[str, Any]
TOGETHER_SECONDS: Final = 10.0
"""What replicas log of one thing within so long is shown once."""
_SAID: Final = re.compile(r"^(\d\d:\d\d:\d\d) (\S+ (?:was killed by|ended with exit code) .*?)(?:;|$)")


@dataclass(frozen=True, slots=True)
class Happening:
    """At a time the service did something."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Logged:
    """A line of a replica's log."""

    at: float
    event: str
    replica: str
    told: Record


def records(lines: Iterable[str]) -> list[Record]:
    """The JSON objects among lines; one that was cut short with its writer is left out."""
    found: list[Record] = []
    for line in lines:
        try:
            record = json.loads(line) if line.startswith("{") else None
        except json.JSONDecodeError:
            continue
        if isinstance(record, dict):
            found.append(record)
    return found


def logged(replica: str, lines: Iterable[str]) -> list[Logged]:
    """What a replica logged."""
    return [
        Logged(datetime.fromisoformat(each["timestamp"]).timestamp(), each["event"], replica, each)
        for each in records(lines)
        if "timestamp" in each and "event" in each
    ]


def scaled(history: Sequence[Record]) -> list[Happening]:
    """Each decision of the scaling law for another number of replicas, with its reason."""
    found: list[Happening] = []
    for before, after in pairwise(history):
        if (by := after["wanted"] - before["wanted"]) != 0:
            way = "out" if by > 0 else "in"
            text = f"scaled {way} by {abs(by)}, to {after['wanted']} replicas: {after['reason']}"
            found.append(Happening(after["at"], text))
    return found


def replaced(said: Iterable[str], began: float) -> list[Happening]:
    """Replicas that ended though nobody had drained them, from the lines of `lgs up`, which have the time of
    day; `began` says which day."""
    found: list[Happening] = []
    for line in said:
        if (match := _SAID.match(line)) is not None:
            found.append(Happening(_on_day(match[1], began), f"replaced a replica: {match[2]}"))
    return found


def _on_day(clock: str, began: float) -> float:
    day = time.strftime("%Y-%m-%d ", time.localtime(began))
    at = time.mktime(time.strptime(day + clock, "%Y-%m-%d %H:%M:%S"))
    return at if at >= began - 1 else at + 86_400


def told(lines: Iterable[Logged]) -> list[Happening]:
    """What replicas say, each thing once."""
    found: list[Happening] = []
    for together in _gathered(sorted(lines, key=lambda line: line.at)):
        text = _TEXTS[together[0].event](together)
        if text:
            found.append(Happening(together[0].at, text))
    return sorted(found, key=lambda each: each.at)


def _gathered(lines: Iterable[Logged]) -> Iterator[list[Logged]]:
    """Lines that are of one thing and near each other."""
    open_groups: dict[tuple[str, str], list[Logged]] = {}
    for line in lines:
        if line.event not in _TEXTS:
            continue
        thing = (line.event, str(line.told.get("circuit", line.told.get("namespace", ""))))
        group = open_groups.get(thing)
        if group is not None and line.at - group[-1].at <= TOGETHER_SECONDS:
            group.append(line)
            continue
        if group is not None:
            yield group
        open_groups[thing] = [line]
    yield from open_groups.values()


def _count(lines: Sequence[Logged], one: str, many: str) -> str:
    return f"{len(lines)} {one if len(lines) == 1 else many}"


def _places(lines: Sequence[Logged]) -> str:
    places = len({line.replica for line in lines})
    return f" (in {places} replicas)" if places > 1 else ""


def _released(lines: Sequence[Logged]) -> str:
    runs = sum(len(line.told.get("runs", ())) for line in lines)
    return f"handed {runs} sessions of a replica that ends to the others" if runs else ""


def _opened(lines: Sequence[Logged]) -> str:
    first = lines[0].told
    cause = f": of {first['calls']} calls {first['failures']} failed" if first.get("calls") else ""
    slow = f" and {first['slow']} were slow" if first.get("slow") else ""
    return f"opened the breaker `{first.get('circuit')}`{cause}{slow}{_places(lines)}"


def _tuned(lines: Sequence[Logged]) -> str:
    last = lines[-1].told
    factor = f"times to live by {last['ttl_factor']:g}" if "ttl_factor" in last else "its times to live"
    return f"tuned the cache of `{last.get('namespace')}`: {factor}, as {last.get('why')}{_places(lines)}"


_TEXTS: Final[dict[str, Callable[[Sequence[Logged]], str]]] = {
    "run.reaped": lambda them: f"took {_count(them, 'session', 'sessions')} from a replica that was gone",
    "run.resumed": lambda them: (
        f"recovered {_count(them, 'session', 'sessions')}: from the last checkpoint{_places(them)}"
    ),
    "runs.released": _released,
    "lease.lost": lambda them: f"gave up the lease of {_count(them, 'replica', 'replicas')}",
    "circuit.open": _opened,
    "circuit.half_open": lambda them: (
        f"tried the breaker `{them[0].told.get('circuit')}` by probes{_places(them)}"
    ),
    "circuit.closed": lambda them: f"closed the breaker `{them[0].told.get('circuit')}`{_places(them)}",
    "cache.warmed_up": lambda them: f"warmed the cache of {_count(them, 'replica', 'replicas')} that started",
    "cache.tuned": _tuned,
    "cache.redis_gone": lambda them: f"served the cache from memory, as Redis was gone{_places(them)}",
    "cache.redis_back": lambda them: f"used Redis again{_places(them)}",
}
"""By the event of a log: what is said of the lines that are of one thing."""
