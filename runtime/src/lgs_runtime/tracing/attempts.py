"""The trace of one attempt of a run: what its graph runs with, and how it ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from langchain_core.runnables import RunnableConfig
from opentelemetry import context as contexts
from opentelemetry import trace as api
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.trace import Status, StatusCode

from lgs_runtime.checkpoint.wrappers.attempt import AttemptSaver
from lgs_runtime.model import Run
from lgs_runtime.streams.json_encoding import encode
from lgs_runtime.tracebacks import text_of
from lgs_runtime.tracing.checkpoints import TracedSaver
from lgs_runtime.tracing.harmless import harmless
from lgs_runtime.tracing.identity import attempt_id_of
from lgs_runtime.tracing.langchain import NodeSpans
from lgs_runtime.tracing.propagation import RunTrace, outgoing

if TYPE_CHECKING:
    from lgs_runtime.tracing.tracer import Tracing

LONGEST_CONTENT: Final = 65_536
"""Characters of a run's input and of its output, where they are shown."""


class AttemptTrace:
    """The trace of one attempt, owned by the worker: call `enter` in the attempt's task, then `ended` unless
    the attempt is lost, then `close`."""

    saver_class = TracedSaver
    """The class of the saver that the attempt's graph stores with."""

    def __init__(self, tracing: Tracing, trace: RunTrace, run: Run, span: api.Span) -> None:
        self._tracing = tracing
        self._run = run
        self._span = span
        self._nodes: NodeSpans | None = None
        if span.is_recording():
            within = api.NonRecordingSpan(span.get_span_context())
            self._nodes = NodeSpans(tracing.nodes, within, redact=tracing.options.redact)
        self.trace_id = trace.hex
        self.sampled = trace.sampled
        self._trace = trace

    @property
    def exemplar(self) -> dict[str, str] | None:
        """The labels of the attempt's exemplar in a histogram; None if its trace is not sampled."""
        return {"trace_id": self.trace_id} if self.sampled else None

    @harmless
    def follow(self, saver: AttemptSaver, config: RunnableConfig) -> None:
        """Makes the graph that is called with this configuration and stores with this saver create its
        spans."""
        if self._nodes is not None:
            config["callbacks"] = [self._nodes]
            if isinstance(saver, TracedSaver):
                saver.spans = self

    @harmless
    def enter(self) -> None:
        """Makes everything that this task does from now on belong to the attempt; it ends with the task."""
        within = api.set_span_in_context(self._span)
        if self._trace.baggage:
            within = W3CBaggagePropagator().extract({"baggage": self._trace.baggage}, within)
        contexts.attach(within)
        outgoing.set(self._headers())

    def _headers(self) -> tuple[tuple[bytes, bytes], ...]:
        said = {
            "traceparent": self._trace.traceparent(self._span.get_span_context().span_id),
            "tracestate": self._trace.tracestate,
            "baggage": self._trace.baggage,
        }
        return tuple((name.encode(), text.encode()) for name, text in said.items() if text)

    @harmless
    def child(
        self, name: str, began: int, attributes: Mapping[str, Any], failed: BaseException | None = None
    ) -> None:
        """A span under the attempt's, which began at `began` and ends now."""
        if not self._span.is_recording():
            return
        own = self._span.get_span_context().span_id
        span = self._tracing.span(name, self._trace, parent=own, began=began, said=attributes)
        if failed is not None:
            span.set_attribute("error.type", type(failed).__name__)
            span.set_status(Status(StatusCode.ERROR))
        span.end()

    @harmless
    def ended(self, outcome: str, raised: BaseException | None = None, *, failed: bool = False) -> None:
        """Records how the attempt ended, and sends its span. Not called for a lost attempt: whoever finds
        that it is lost sends its span."""
        if not self._span.is_recording():
            return
        self._finish_nodes()
        self._span.set_attribute("lgs.attempt.outcome", outcome)
        if raised is not None or failed:
            kind = outcome if raised is None else type(raised).__name__
            self._span.set_attribute("error.type", kind)
            said = None if self._tracing.options.redact or raised is None else text_of(raised)
            self._span.set_status(Status(StatusCode.ERROR, said))
        self._span.end()

    @harmless
    def close(self) -> None:
        """Ends the trace: nothing more comes of this attempt."""
        self._finish_nodes()
        self._tracing.subtrees.attempt_ends(attempt_id_of(self._run))

    def _finish_nodes(self) -> None:
        if self._nodes is None:
            return
        self._nodes.close()
        graph = self._nodes.graph
        if graph is not None and not self._tracing.options.redact and self._span.is_recording():
            for name, said in (("input", graph.inputs), ("output", graph.outputs)):
                text = encode(said).decode()[:LONGEST_CONTENT]
                self._span.set_attributes({f"{name}.value": text, f"{name}.mime_type": "application/json"})
