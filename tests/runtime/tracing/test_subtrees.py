"""When a span goes out: with all that is above it up to its node, so that none is left without a parent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace import NonRecordingSpan, Span, Tracer, set_span_in_context

from lgs_runtime.tracing.subtrees import Subtrees


class Field:
    """A tracer, and the names of the spans that have gone out."""

    def __init__(self, most: int = 100) -> None:
        self.out: list[str] = []
        self.subtrees = Subtrees(self._take, most)
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(self.subtrees)
        self.tracer: Tracer = provider.get_tracer("test")

    def _take(self, span: ReadableSpan) -> None:
        self.out.append(span.name)

    def begin(self, name: str, under: Span | None = None) -> Span:
        context = None if under is None else set_span_in_context(NonRecordingSpan(under.get_span_context()))
        return self.tracer.start_span(name, context)

    def attempt(self) -> Span:
        span = self.begin("attempt")
        self.subtrees.attempt_begins(span.get_span_context().span_id)
        return span


@pytest.fixture
def field() -> Iterator[Field]:
    opened = Field()
    yield opened
    opened.subtrees.shutdown()


def test_a_call_waits_for_its_node_and_a_node_for_no_attempt(field: Field) -> None:
    attempt = field.attempt()
    node = field.begin("node", attempt)
    field.begin("model", node).end()
    before = list(field.out)
    node.end()

    assert before == []
    assert field.out == ["model", "node"]


def test_what_ends_after_its_node_goes_out_by_itself(field: Field) -> None:
    node = field.begin("node", field.attempt())
    late = field.begin("late", node)
    node.end()
    late.end()

    assert field.out == ["node", "late"]


def test_a_replica_that_stops_sends_what_waits(field: Field) -> None:
    node = field.begin("node", field.attempt())
    field.begin("model", node).end()

    field.subtrees.shutdown()

    assert field.out == ["model"]


def test_no_more_than_so_many_wait() -> None:
    field = Field(most=3)
    node = field.begin("node", field.attempt())

    for number in range(5):
        field.begin(str(number), node).end()
    waiting = 5 - len(field.out)
    node.end()

    assert waiting == 3
    assert sorted(field.out) == ["0", "1", "2", "3", "4", "node"]


@given(st.lists(st.integers(0, 20), min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_whatever_ends_first_each_span_goes_out_once(parents: Sequence[int], random: Random) -> None:
    field = Field()
    attempt = field.attempt()
    spans = [attempt]
    for number, parent in enumerate(parents):
        spans.append(field.begin(str(number), spans[parent % len(spans)]))
    random.shuffle(spans)

    for span in spans:
        span.end()

    assert sorted(field.out) == sorted(["attempt", *map(str, range(len(parents)))])
    assert field.subtrees.waiting == 0
