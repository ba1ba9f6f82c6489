"""The spans of nodes, models, tools and retrievers, made by OpenInference through callbacks of one attempt of
a run.

The callbacks are passed to the graph with its configuration, instead of patching LangChain for the whole
process: so a run that is not sampled costs nothing. With redaction, contents do not even come near a span.
"""

from __future__ import annotations

from typing import Any, Final, cast
from uuid import UUID

from langchain_core.tracers import BaseTracer
from langchain_core.tracers.schemas import Run
from openinference.instrumentation import OITracer, TraceConfig
from openinference.instrumentation.langchain._tracer import OpenInferenceTracer
from opentelemetry.trace import Span, Status, StatusCode, Tracer, TracerProvider
from opentelemetry.util.types import AttributeValue

from lgs_runtime.tracing.redaction import without_contents

SCOPE: Final = "openinference.instrumentation.langchain"
CUT: Final = "the attempt ended before it"


class NodeSpans(OpenInferenceTracer):
    """The spans of one attempt. The graph itself has no span of its own: the attempt's span stands for it."""

    run_inline = True
    """Callbacks run inline, and not in a thread for each call, which would be one of those that nodes
    need."""

    def __init__(self, tracer: Tracer, attempt: Span, *, redact: bool) -> None:
        super().__init__(tracer, False)
        self._attempt = attempt
        self._redact = redact
        self.graph: Run | None = None
        """The outermost call, with its input and output."""
        self._raised: dict[UUID, str] = {}
        """Types of raised exceptions by call, with redaction: all that is shown of them."""

    def _start_trace(self, run: Run) -> None:  # type: ignore[override]
        if run.parent_run_id is None:
            self.graph = run
            self.run_map[str(run.id)] = run
            self._spans_by_run[run.id] = self._attempt
            return
        super()._start_trace(run)

    def _end_trace(self, run: Run) -> None:  # type: ignore[override]
        if run.parent_run_id is None:
            self.run_map.pop(str(run.id), None)
            return
        if self._redact:
            _forget_contents(run, self._raised.pop(run.id, None))
        super()._end_trace(run)

    def close(self) -> None:
        """Ends spans that have not ended, for instance after a cancellation that a node swallowed."""
        for run_id, span in list(self._spans_by_run.items()):
            self._spans_by_run.pop(run_id, None)
            if span is not self._attempt:
                span.set_status(Status(StatusCode.ERROR, CUT))
                span.end()

    def _failed(self, error: BaseException, run_id: UUID) -> None:
        """Records only the type of what was raised."""
        span, kind = self._spans_by_run.get(run_id), type(error).__name__
        if span is not None and span is not self._attempt:
            span.add_event("exception", {"exception.type": kind})
            self._raised[run_id] = kind

    def on_chain_error(self, error: BaseException, *args: Any, run_id: UUID, **kwargs: Any) -> Run:
        """See LangChain's interface, as for all that follow."""
        if not self._redact:
            return super().on_chain_error(error, *args, run_id=run_id, **kwargs)
        self._failed(error, run_id)
        return BaseTracer.on_chain_error(self, error, *args, run_id=run_id, **kwargs)

    def on_llm_error(self, error: BaseException, *args: Any, run_id: UUID, **kwargs: Any) -> Run:
        if not self._redact:
            return super().on_llm_error(error, *args, run_id=run_id, **kwargs)
        self._failed(error, run_id)
        return BaseTracer.on_llm_error(self, error, *args, run_id=run_id, **kwargs)

    def on_tool_error(self, error: BaseException, *args: Any, run_id: UUID, **kwargs: Any) -> Run:
        if not self._redact:
            return super().on_tool_error(error, *args, run_id=run_id, **kwargs)
        self._failed(error, run_id)
        return BaseTracer.on_tool_error(self, error, *args, run_id=run_id, **kwargs)

    def on_retriever_error(self, error: BaseException, *args: Any, run_id: UUID, **kwargs: Any) -> Run:
        if not self._redact:
            return super().on_retriever_error(error, *args, run_id=run_id, **kwargs)
        self._failed(error, run_id)
        return BaseTracer.on_retriever_error(self, error, *args, run_id=run_id, **kwargs)


class _Redacting(TraceConfig):
    """Lets through only attributes that say nothing about contents."""

    def mask(self, key: str, value: Any, *, externalize: bool = True) -> AttributeValue | None:
        """See OpenInference's interface."""
        return value if without_contents({key: value}) else None


def traced_config(redact: bool) -> TraceConfig:
    """How OpenInference writes spans: with the attributes of the GenAI conventions beside its own."""
    return _Redacting(enable_genai_semconv=True) if redact else TraceConfig(enable_genai_semconv=True)


def node_tracer(provider: TracerProvider, redact: bool) -> Tracer:
    """The tracer that makes OpenInference's spans, for all attempts."""
    return cast(Tracer, OITracer(provider.get_tracer(SCOPE), config=traced_config(redact)))


def _forget_contents(run: Run, raised: str | None) -> None:
    """Removes contents from a call: otherwise OpenInference would first convert all of them to text, only to
    leave them out."""
    run.inputs = {}
    if run.run_type != "llm":
        run.outputs = {}
    if run.error is not None:
        # In Python's form, since OpenInference recognises by its beginning an exception that is no failure.
        run.error = f"{raised or 'Exception'}()"
