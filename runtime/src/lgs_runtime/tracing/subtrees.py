"""Holds spans back until those above them have ended, so that a replica that dies leaves no spans whose
parent never arrives.

A span waits for the one at the top of its subtree. Spans of attempts are no tops: the replica that finds an
attempt lost makes its span, so each node right under an attempt is sent when it ends.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

MOST_OPEN: Final = 100_000
"""How many spans that have begun and not ended are remembered with their place in the tree."""


class Subtrees(SpanProcessor):
    """Stands between the tracer and the queue of spans to send. At most `most` spans wait here."""

    def __init__(self, hand_on: Callable[[ReadableSpan], None], most: int) -> None:
        self._hand_on = hand_on
        self._most = most
        self._lock = Lock()
        self._top_of: dict[int, int] = {}
        """The top of the subtree of each span that has not ended."""
        self._waiting: dict[int, list[ReadableSpan]] = {}
        """The waiting spans, by their top."""
        self._held = 0
        self._attempts: set[int] = set()

    @property
    def waiting(self) -> int:
        """How many spans wait for others to end."""
        return self._held

    def attempt_begins(self, span_id: int) -> None:
        """Makes the spans right under this one tops."""
        with self._lock:
            self._attempts.add(span_id)

    def attempt_ends(self, span_id: int) -> None:
        """Notes that nothing more begins under this attempt."""
        with self._lock:
            self._attempts.discard(span_id)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """See OpenTelemetry's interface, as for all that follow."""
        own, parent = span.context.span_id, span.parent
        with self._lock:
            if len(self._top_of) >= MOST_OPEN:
                # An application that ends none of its spans: each is sent by itself.
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
        """Sends the waiting spans whose tops will no longer end here."""
        with self._lock:
            left = [span for spans in self._waiting.values() for span in spans]
            self._waiting.clear()
            self._held = 0
        for span in left:
            self._hand_on(span)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return True
