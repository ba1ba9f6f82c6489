"""What `lgs up` prints of circuit breakers: a line for each change of a service's circuit, from the
logs of its replicas. Replicas that share a circuit log its change one after the other, which is
printed once. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

OPEN, HALF_OPEN, CLOSED = EVENTS = ("circuit.open", "circuit.half_open", "circuit.closed")
MARK: Final = '"circuit.'
NUMBERS: Final = (
    "calls",
    "failures",
    "slow",
    "failure_threshold",
    "slow_call_threshold",
    "retry_after_seconds",
)
Record = Mapping[str, Any]


@dataclass(slots=True)
class _Circuit:
    """What is known of one circuit. `phases` has the latest event of each replica, `said` is the event of the
    last line printed."""

    name: str
    calls: str
    phases: dict[str, str] = field(default_factory=dict)
    said: str = CLOSED

    def is_news(self, event: str) -> bool:
        """Whether to print an event that was noted: half-open when the first replica reports it, closed once
        it is closed in all replicas."""
        if event == CLOSED:
            return self.said != CLOSED and set(self.phases.values()) <= {CLOSED}
        return self.said == OPEN if event == HALF_OPEN else self.said != OPEN


class Circuits:
    """What is known of all circuits."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], _Circuit] = {}

    def changes(self, replica: str, log: Iterable[str]) -> Iterator[str]:
        """The lines to print for what a replica has logged since the last call."""
        for record in map(_record, filter(lambda line: MARK in line, log)):
            if record is not None:
                circuit = self._circuit(record["kind"], record["circuit"])
                circuit.phases[replica] = record["event"]
                yield from _said(circuit, record["event"], record)

    def ended(self, replica: str) -> Iterator[str]:
        """The lines to print when a replica is gone: it may have been the one with an open circuit."""
        for circuit in self._known.values():
            if circuit.phases.pop(replica, None) is not None:
                yield from _said(circuit, CLOSED, {})

    def _circuit(self, kind: str, name: str) -> _Circuit:
        of_graph = kind == "graph"
        shown = f"graph {name}: its circuit" if of_graph else f"circuit {name}"
        return self._known.setdefault((kind, name), _Circuit(shown, "runs" if of_graph else "calls"))


def _said(circuit: _Circuit, event: str, record: Record) -> Iterator[str]:
    if circuit.is_news(event):
        circuit.said = event
        yield f"{circuit.name} is {_LINES[event](circuit.calls, record)}"


def _record(line: str) -> Record | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    # The application's code writes to the same log.
    return record if isinstance(record, dict) and is_change(record) else None


def is_change(record: Record) -> bool:
    """Whether a record of the log reports a change of a circuit."""
    named = all(isinstance(record.get(name), str) for name in ("kind", "circuit"))
    counted = all(isinstance(record.get(name, 0), int | float) for name in NUMBERS)
    return record.get("event") in EVENTS and named and counted


def _opened(calls: str, record: Record) -> str:
    refused = (
        "new runs are answered 503, those that wait are kept" if calls == "runs" else "calls are refused"
    )
    return f"open: {_why(record, calls)}; {refused}; {_again(record)}"


def _half_opened(calls: str, record: Record) -> str:
    probes = record.get("probes", "some")
    tried = (
        f"1 {calls[:-1]} is tried, and decides" if probes == 1 else f"{probes} {calls} are tried, and decide"
    )
    return f"half-open: {tried}"


def _closed(calls: str, _record: Record) -> str:
    return f"closed: {calls} are taken again"


_LINES: Final[Mapping[str, Callable[[str, Record], str]]] = {
    OPEN: _opened,
    HALF_OPEN: _half_opened,
    CLOSED: _closed,
}


def _why(record: Record, calls: str) -> str:
    """Why a circuit opened: how many calls failed or were slow, in words."""
    of = record.get("calls") or 0
    if not of:
        return f"too many {calls} failed in another replica"
    kinds = [("failed", record.get("failures", 0), record.get("failure_threshold"))]
    if record.get("slow_call_threshold") is not None:
        kinds.append(("were slow", record.get("slow", 0), record["slow_call_threshold"]))
    how, bad, threshold = max(kinds, key=lambda kind: kind[1] / of / (kind[2] or 1))
    enough = f", and {threshold:.0%} are too many" if threshold else ""
    return f"{bad} of {of} {calls} {how} ({bad / of:.0%}{enough})"


def _again(record: Record) -> str:
    seconds = record.get("retry_after_seconds", record.get("recovery_timeout"))
    return "tried again later" if seconds is None else f"tried again in {seconds:g} s"
