"""The ids of spans: the one that is asked for, or a random one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator


class Ids(NamedTuple):
    """Of the span that is made next."""

    trace_id: int
    span_id: int


class SpanIds(IdGenerator):
    """Gives the ids that are asked for, to whoever asks for them."""

    def __init__(self) -> None:
        self._random = RandomIdGenerator()
        self._next: ContextVar[Ids | None] = ContextVar("lgs_next_ids", default=None)

    @contextmanager
    def next(self, trace_id: int, span_id: int) -> Iterator[None]:
        """The span that is made in the context gets these."""
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
