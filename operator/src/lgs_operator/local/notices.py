"""What `lgs up` prints of its replicas' warnings: each problem once, however many replicas log it and how
often, and once more when it is over. Known warnings are printed in their own words, other warnings of the
runtime as they are logged; what the application logs stays in its log. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from lgs_operator.local.circuits import Circuits, is_change
from lgs_operator.local.worker_log import SERIOUS, first_line, is_noted, record_of

Record = Mapping[str, Any]
Thing = tuple[str, ...]
"""An event, and the values that distinguish it from others of its kind."""
OF: Final = (
    *("namespace", "endpoint", "node", "graphs", "input", "error"),
    *("where", "file", "keys", "names", "part", "path", "handler"),
)
"""The fields by which two records of one event count as different things."""
MOST: Final = 100
"""How many things are printed until a file changes; the others are in the logs only."""
PROBLEMS: Final[Mapping[str, str]] = {
    "cache.redis_gone": "Redis is away ({reason}): the memory of each replica serves its cache meanwhile",
    "cache.redis_node_gone": "{node} of the Redis Cluster is away ({reason}): what it has is computed anew",
    "cache.warmup_failed": "warm-up: {input}: {reason}",
    "cache.no_key": "{namespace} is not cached: {reason}",
    "cache.not_storable": "{namespace}: its result is not cached: {reason}",
    "circuits.not_shared": "circuits are each replica's own meanwhile: {reason}",
    "claim.failed": "no run that waits is begun meanwhile: {reason}",
    "config.env_file_missing": "{file} is not there: what it should set must come from the environment",
    "config.env_lines": "{where}: {file}: line {lines}: must be NAME=value; left out",
    "config.folder_missing": "{where}: {folder}: no such folder: its code must be installed",
    "config.secret_headers": "{where}: {never_taken}: never taken, as they are secrets",
    "config.unknown_keys": "{where}: {keys}: no key that is known there, without effect; known are {known}",
    "database.away": "{database} is not there ({reason}): the replicas wait for it",
    "graphs.own_persistence": (
        "a {part} that the code compiles in is not used here, the service's is: {graphs}; to bring one,"
        " name it in langgraph.json"
    ),
    "lease.lost": "{replica} lost its lease: its {runs} runs go on from their last checkpoints",
    "queue.unserved": "runs wait for graphs that no replica has: {graphs}",
    "run.lost": "a run that {replica} executed was deleted, or goes on elsewhere",
    "run.reaped": "a run whose replica was gone is {status} now: {run_id}",
    "run.raised": "a run failed: {error}: {message}; the log of {replica} has its traceback",
    "streams.redis_gone": (
        "Redis is away ({reason}): who follows a run through another replica gets its end alone meanwhile"
    ),
    "streams.redis_refused": "Redis refuses live events ({reason}): they reach no other replica",
    "studio.open": "{reason}",
    "tracing.collector_away": "the collector at {endpoint} is away ({reason}): traces are lost meanwhile",
    "tracing.not_installed": "nothing is traced ({reason}): the application's environment lacks {install}",
    "webhooks.environment": "webhooks that need it can't be called: {reason}",
}
OVER: Final[Mapping[str, tuple[str, str]]] = {
    "cache.redis_back": ("cache.redis_gone", "Redis is back: replicas share their cache again"),
    "cache.redis_node_back": ("cache.redis_node_gone", "{node} of the Redis Cluster is back"),
    "circuits.shared": ("circuits.not_shared", "replicas share their circuits again"),
    "streams.redis_back": (
        "streams.redis_gone",
        "Redis is back: any replica can follow a run again",
    ),
    "tracing.collector_back": (
        "tracing.collector_away",
        "the collector at {endpoint} is back: traces are sent again, {lost} spans were lost",
    ),
}
"""For each event that ends a problem: the event that began it, and what is printed once no replica has it."""
SAID_OTHERWISE: Final = frozenset({"cache.redis_failed"})
_EVENT: Final = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)+")


class _Words(dict[str, Any]):
    """The values of a record to put into the words of a line, each text on one line. A missing name reads as
    "unknown": the application may log under the same event names."""

    def __init__(self, record: Record, **more: str) -> None:
        listed = {
            name: ", ".join(map(str, value)) for name, value in record.items() if isinstance(value, list)
        }
        lines = {name: " ".join(value.split()) for name, value in record.items() if isinstance(value, str)}
        super().__init__({**record, **listed, **lines, **more})

    def __missing__(self, name: str) -> str:
        return "unknown"


def in_words(record: Record) -> str:
    """A record of the runtime in words for people."""
    words = PROBLEMS.get(record["event"])
    return first_line(record) if words is None else words.format_map(_Words(record))


class Notices:
    """What has been printed. A new one starts when the code or the manifest has changed."""

    def __init__(self, circuits: Circuits | None = None) -> None:
        self.circuits = circuits or Circuits()
        self.lines: set[str] = set()
        """The warnings that were printed, in the form of `readable`."""
        self._said: set[Thing] = set()
        self._places: dict[Thing, set[str]] = {}

    def of(self, replica: str, log: Sequence[str], notes: Sequence[str] = ()) -> Iterator[str]:
        """The lines to print for what a replica has logged since the last call, without what the `notes` of
        `lgs` already say."""
        yield from self.circuits.changes(replica, log)
        for record in filter(None, map(record_of, log)):
            if is_change(record) or is_noted(record, notes):
                self.lines.add(first_line(record))
            else:
                yield from self._of_record(replica, record)

    def ended(self, replica: str) -> Iterator[str]:
        """The lines to print when a replica is gone."""
        yield from self.circuits.ended(replica)
        for places in self._places.values():
            places.discard(replica)

    def _of_record(self, replica: str, record: Record) -> Iterator[str]:
        event = record["event"]
        words = _Words(record, replica=replica)
        if event in OVER:
            began, said = OVER[event]
            yield from self._over(_thing(began, record), replica, said.format_map(words))
        elif event in PROBLEMS:
            thing = _thing(event, record)
            self._places.setdefault(thing, set()).add(replica)
            yield from self._once(thing, record, PROBLEMS[event].format_map(words))
        elif str(record.get("level")) in SERIOUS and event not in SAID_OTHERWISE and _EVENT.fullmatch(event):
            more = f"; the log of {replica} has its traceback" if "exception" in record else ""
            yield from self._once(_thing(event, record), record, f"{first_line(record)}{more}")

    def _once(self, thing: Thing, record: Record, said: str) -> Iterable[str]:
        if thing in self._said or len(self._said) >= MOST:
            return ()
        self._said.add(thing)
        self.lines.add(first_line(record))
        return (said,)

    def _over(self, thing: Thing, replica: str, said: str) -> Iterable[str]:
        places = self._places.get(thing, set())
        places.discard(replica)
        if places or thing not in self._said:
            return ()
        # Should it begin again, that is news.
        self._said.discard(thing)
        return (said,)


def _thing(event: str, record: Record) -> Thing:
    return (event, *(str(record[name]) for name in OF if name in record))
