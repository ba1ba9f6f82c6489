"""The circuits of this process, by name: breakers of the same name share one circuit, wherever they are made.

A name stands for the thing that is called. Names made from requests would fill the memory: beyond `MOST`
circuits, the one for which no breaker was made for the longest time is forgotten.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import fields

import structlog

from lgs_runtime.breaker.bulkhead import Bulkhead
from lgs_runtime.breaker.circuit import Circuit
from lgs_runtime.breaker.policy import InvalidPolicy, Policy
from lgs_runtime.forking import copied

MOST = 1000
log = structlog.get_logger(__name__)


class Registry:
    """The circuits of the code, each made when it is first asked for."""

    def __init__(self) -> None:
        self._circuits: dict[str, tuple[Circuit, Bulkhead | None]] = {}
        self._lock = threading.Lock()
        self._told = False
        copied(self)

    def begin_in_child(self) -> None:
        """Called in a forked process, which has the same circuits."""
        self._lock = threading.Lock()

    def all(self) -> list[Circuit]:
        """All circuits that are known."""
        with self._lock:
            return [circuit for circuit, _ in self._circuits.values()]

    def of(
        self, name: str, policy: Policy, bulkhead: Bulkhead | None, clock: Callable[[], float]
    ) -> tuple[Circuit, Bulkhead | None]:
        """The circuit of a name, and its bulkhead. Raises `InvalidPolicy` if it was made with another policy
        or limit."""
        with self._lock:
            found = self._circuits.pop(name, None)
            if found is None:
                found = Circuit(name, policy, clock=clock), bulkhead
            self._circuits[name] = found
            if len(self._circuits) > MOST:
                oldest = next(iter(self._circuits))
                del self._circuits[oldest]
                if not self._told:
                    # Logged once: whoever makes names from requests makes them without end.
                    self._told = True
                    log.warning("circuit.forgotten", circuit=oldest, most=MOST)
        for field in fields(policy):
            _same(name, field.name, getattr(policy, field.name), getattr(found[0].policy, field.name))
        _same(name, "max_concurrent", _limit(bulkhead), _limit(found[1]))
        return found

    def clear(self) -> None:
        """Forgets all circuits; breakers that are in use keep theirs."""
        with self._lock:
            self._circuits.clear()
            self._told = False


def _limit(bulkhead: Bulkhead | None) -> int | None:
    return None if bulkhead is None else bulkhead.limit


def _same(name: str, field: str, asked: object, there: object) -> None:
    if asked != there:
        raise InvalidPolicy(
            field, asked, f"circuit {name!r} has {there!r}; give both the same, or another name"
        )


CIRCUITS = Registry()
"""Graphs make their breakers when they are imported, before anything could pass them a registry."""
