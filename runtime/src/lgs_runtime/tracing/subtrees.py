"""Hands spans on when those above them have ended, so that a replica that dies leaves no span behind whose
parent nobody ever hears of.

A span waits for the one at the top of its subtree. The spans of attempts are no such tops: a lost attempt's
is made by the replica that finds it lost, so that each node under it goes out when it ends.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

MOST_OPEN: Final = 100_000
"""Spans that have begun and not ended, of which it is known what they are under."""


class Subtrees(SpanProcessor):
    """Between the tracer and the queue of spans to be sent. No more than `most` spans wait here."""

    def __init__(self, hand_on: Callable[[ReadableSpan], None], most: int) -> None:
        self._hand_on = hand_on
        self._most = most
        self._lock = Lock()
        self._top_of: dict[int, int] = {}
        """Of each span that has not ended: the top of its subtree."""
        self._waiting: dict[int, list[ReadableSpan]] = {}
        """By the top."""
        self._held = 0
        self._attempts: set[int] = set()

    @property
    def waiting(self) -> int:
        """Spans that wait for others to end."""
        return self._held

    def attempt_begins(self, span_id: int) -> None:
        """Spans right under this one are tops."""
        with self._lock:
            self._attempts.add(span_id)

    def attempt_ends(self, span_id: int) -> None:
        """Nothing more begins under it."""
        with self._lock:
            self._attempts.discard(span_id)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """See OpenTelemetry's interface, as for all that follow."""
        own, parent = span.context.span_id, span.parent
        with self._lock:
            if len(self._top_of) >= MOST_OPEN:
                # Of an application that ends none: each goes out by itself.
                return
            if parent is None or parent.span_id in self._attempts:
                self._top_of[own] = own
            else:
                self._top_of[own] = self._top_of.get(parent.span_id, own)

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is None or not span.context.trace_flags.sampled:
            return
        own = span.context.span_id
        with self._lock:
            top = self._top_of.pop(own, own)
            if top != own and top in self._top_of and self._held < self._most:
                self._waiting.setdefault(top, []).append(span)
                self._held += 1
                return
            together = [*self._waiting.pop(own, ()), span]
            self._held -= len(together) - 1
        for each in together:
            self._hand_on(each)

    def shutdown(self) -> None:
        """What waits for a span that will not end here any more goes out."""
        with self._lock:
            left = [span for spans in self._waiting.values() for span in spans]
            self._waiting.clear()
            self._held = 0
        for span in left:
            self._hand_on(span)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return True
