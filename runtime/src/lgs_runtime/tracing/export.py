"""Sends spans to the collector: a bounded queue, and its own thread that sends batches.

A collector that is away, slow or refuses costs spans, which are counted, and nothing else. One warning gives
the reason, and one line says when it takes spans again.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import structlog
from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from lgs_runtime.tracing.counts import SpanCounts
from lgs_runtime.tracing_options import TracingOptions

BATCH: Final = 512
LAST_SECONDS: Final = 5.0
"""Seconds for which a stopping replica still sends waiting spans."""
log = structlog.get_logger(__name__)


class SpanQueue:
    """The queue of spans, owned by `Tracing`, which closes it."""

    def __init__(self, options: TracingOptions, counts: SpanCounts) -> None:
        self._counts = counts
        self._most = options.queue
        inner = OTLPSpanExporter(options.endpoint, headers=dict(options.headers))
        self._exporter = _Exporter(options.endpoint, inner, counts)
        # A full processor drops the oldest spans without counting them; it is never full, since fewer are let
        # in.
        self._batches = BatchSpanProcessor(
            self._exporter,
            max_queue_size=options.queue + 1,
            max_export_batch_size=min(BATCH, options.queue),
            schedule_delay_millis=options.delay_seconds * 1000,
        )
        self._let_in = 0
        self._lock = threading.Lock()

    def add(self, span: ReadableSpan) -> None:
        """Sends a span soon; drops it if too many wait. Never waits."""
        with self._lock:
            if self._let_in - self._exporter.taken >= self._most:
                self._counts.add("queue_full")
                return
            self._let_in += 1
        self._batches.on_end(span)

    async def close(self) -> None:
        """Sends the waiting spans, for at most `LAST_SECONDS`."""
        loop = asyncio.get_running_loop()
        closed: asyncio.Future[None] = loop.create_future()

        def shut_down() -> None:
            self._batches.shutdown()  # type: ignore[no-untyped-call]
            with suppress(RuntimeError):  # the loop is closed by now
                loop.call_soon_threadsafe(_done, closed)

        # Not a thread of the pool: the loop would wait for it at its end, however long a collector hangs.
        threading.Thread(target=shut_down, name="last-spans", daemon=True).start()
        await asyncio.wait({closed}, timeout=LAST_SECONDS)
        if not closed.done():
            # The current try ends, and the remaining spans count as failed.
            self._exporter.give_up()
            log.warning("tracing.spans_left", endpoint=self._exporter.endpoint)
        closed.cancel()


def _done(closed: asyncio.Future[None]) -> None:
    if not closed.done():
        closed.set_result(None)


class _Exporter(SpanExporter):
    """Counts what becomes of each batch, and logs once that a collector takes none."""

    def __init__(self, endpoint: str, inner: OTLPSpanExporter, counts: SpanCounts) -> None:
        self.endpoint = endpoint
        self.taken = 0
        """How many spans have left the queue."""
        self._inner = inner
        self._counts = counts
        self._away = False
        self._reason = _FirstMessage()
        # The exporter logs at each try; we log once.
        said = logging.getLogger(trace_exporter.__name__)
        said.handlers[:] = [self._reason]
        said.propagate = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Sends a batch; called by the queue's thread."""
        self.taken += len(spans)
        self._reason.text = ""
        try:
            result = self._inner.export(spans)
        except Exception as failed:  # noqa: BLE001 - whatever it is, the next batch is tried
            result, self._reason.text = SpanExportResult.FAILURE, f"{type(failed).__name__}: {failed}"
        taken = result is SpanExportResult.SUCCESS
        self._counts.add("sent" if taken else "failed", len(spans))
        if taken and self._away:
            log.info("tracing.collector_back", endpoint=self.endpoint, lost=self._counts.of("failed"))
        elif not taken and not self._away:
            log.warning("tracing.collector_away", endpoint=self.endpoint, reason=self._reason.text)
        self._away = not taken
        return result

    def give_up(self) -> None:
        """Makes no more tries."""
        self._inner.shutdown()  # type: ignore[no-untyped-call]

    def shutdown(self) -> None:
        """See OpenTelemetry's interface."""
        self._inner.shutdown()  # type: ignore[no-untyped-call]

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return True


class _FirstMessage(logging.Handler):
    """The exporter's first message about a batch: why its first try failed."""

    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text = self.text or record.getMessage()
