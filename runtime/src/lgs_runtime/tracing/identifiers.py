"""The ids of spans: a requested one, or a random one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator


class Ids(NamedTuple):
    """The ids of the next span."""

    trace_id: int
    span_id: int


class SpanIds(IdGenerator):
    """An id generator that gives the ids set by `next`, else random ones."""

    def __init__(self) -> None:
        self._random = RandomIdGenerator()
        self._next: ContextVar[Ids | None] = ContextVar("lgs_next_ids", default=None)

    @contextmanager
    def next(self, trace_id: int, span_id: int) -> Iterator[None]:
        """Gives these ids to the span that is made in the context."""
        token = self._next.set(Ids(trace_id, span_id))
        try:
            yield
        finally:
            self._next.reset(token)

    def generate_span_id(self) -> int:
        """See OpenTelemetry's interface."""
        given = self._next.get()
        return self._random.generate_span_id() if given is None else given.span_id

    def generate_trace_id(self) -> int:
        """See OpenTelemetry's interface."""
        given = self._next.get()
        return self._random.generate_trace_id() if given is None else given.trace_id
