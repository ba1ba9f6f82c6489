"""The traces of one replica: the spans of requests that make runs, and of attempts.

Opened if an endpoint is configured; otherwise there is None in its place. Nothing here waits, and nothing
here fails a run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from time import time_ns
from typing import Any, Final

from opentelemetry import trace as api
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)

from lgs_runtime.model import Run
from lgs_runtime.tracing.attempts import AttemptTrace
from lgs_runtime.tracing.counts import SpanCounts
from lgs_runtime.tracing.export import SpanQueue
from lgs_runtime.tracing.harmless import harmless
from lgs_runtime.tracing.identifiers import SpanIds
from lgs_runtime.tracing.identity import attempt_id_of, earlier_attempt_id_of
from lgs_runtime.tracing.langchain import node_tracer
from lgs_runtime.tracing.propagation import Incoming, RunTrace, incoming, incoming_of, trace_of_run
from lgs_runtime.tracing.subtrees import Subtrees
from lgs_runtime.tracing_options import TracingOptions

SCOPE: Final = "lgs_runtime"
UNNAMED: Final = "unknown_service"
"""The SDK's name of a service that no variable names."""
LOST: Final = "lost"
MOST_HELD: Final = 10_000
MOST_ATTRIBUTES: Final = 10_000


class Tracing:
    """The tracing of one replica; owned by the opening of the replica, which closes it last."""

    def __init__(self, options: TracingOptions, service: str, replica: str, version: str) -> None:
        self.options = options
        self.replica = replica
        self.counts = SpanCounts()
        self._queue = SpanQueue(options, self.counts)
        self.subtrees = Subtrees(self._queue.add, MOST_HELD)
        self.ids = SpanIds()
        own = {"service.instance.id": replica, "service.version": version}
        resource = Resource.create(own)
        if str(resource.attributes.get("service.name")).startswith(UNNAMED):
            resource = resource.merge(Resource({"service.name": service}))
        self.provider = TracerProvider(
            sampler=ParentBased(root=TraceIdRatioBased(options.ratio)),
            resource=resource,
            id_generator=self.ids,
            shutdown_on_exit=False,
            span_limits=_limits(),
        )
        self.provider.add_span_processor(self.subtrees)
        self.tracer = self.provider.get_tracer(SCOPE, version)
        self.nodes = node_tracer(self.provider, options.redact)

    def serve(self) -> None:
        """Sends the spans that the application's own code makes the same way, unless it has set up its own
        provider."""
        if isinstance(api.get_tracer_provider(), api.ProxyTracerProvider):
            api.set_tracer_provider(self.provider)

    async def close(self) -> None:
        """Sends the remaining spans, for a few seconds."""
        self.subtrees.shutdown()
        await self._queue.close()

    def request(self, method: str, path: str, headers: Mapping[str, str], *, now: bool = True) -> Incoming:
        """A request that may make runs, either `now` or later, over a connection that stays open."""
        options, began = self.options, time_ns() if now else 0
        return incoming_of(
            method, path, headers, began, ratio=options.ratio, parent_based=options.parent_based
        )

    def trace_of(self, run: Run) -> RunTrace:
        """The trace that a run belongs to."""
        return trace_of_run(run.run_id, run.kwargs.get("trace"), ratio=self.options.ratio)

    @harmless
    def admitted(self, run: Run) -> None:
        """Ends the root span of a run that was stored: the span of the request."""
        request, trace = incoming.get(), self.trace_of(run)
        if request is not None and trace.sampled and trace.known:
            asked = {"http.request.method": request.method, "url.path": request.path}
            now = time_ns()
            self._root(run, trace, request.began or now, now, asked)

    @harmless
    def attempt(self, run: Run) -> AttemptTrace:
        """Begins the trace of an attempt."""
        trace = self.trace_of(run)
        if not trace.sampled:
            span: api.Span = NonRecordingSpan(self._context(trace, trace.root_id))
            return AttemptTrace(self, trace, run, span)
        claimed = nanoseconds(run.claimed_at)
        if run.untouched:
            if not trace.known:
                self._root(run, trace, nanoseconds(run.created_at), claimed, {})
            self._waited(run, trace, claimed)
        span = self._begin_attempt(run, trace, claimed)
        return AttemptTrace(self, trace, run, span)

    @harmless
    def lost(self, run: Run) -> None:
        """Sends the span of a lost attempt: its replica died and can't send it any more."""
        trace = self.trace_of(run)
        # A rollback takes the attempt back together with its number.
        if trace.sampled and run.claimed_at is not None and run.attempt > 0:
            span = self._begin_attempt(run, trace, nanoseconds(run.claimed_at), known_replica=False)
            span.set_attribute("lgs.attempt.outcome", LOST)
            span.set_attribute("error.type", "ReplicaLost")
            span.set_status(Status(StatusCode.ERROR, "its replica's lease ran out"))
            span.end()
            self.subtrees.attempt_ends(attempt_id_of(run))

    def _begin_attempt(
        self, run: Run, trace: RunTrace, began: int, *, known_replica: bool = True
    ) -> api.Span:
        own, earlier = attempt_id_of(run), earlier_attempt_id_of(run)
        links = []
        if earlier is not None:
            links.append(Link(self._context(trace, earlier), {"lgs.link": "handed over from"}))
        said = {
            **about(run),
            "lgs.attempt": run.attempt,
            "openinference.span.kind": "AGENT",
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.id": run.assistant_id,
            **({"gen_ai.agent.name": run.graph_id} if run.graph_id else {}),
            **({"lgs.replica": self.replica} if known_replica else {}),
        }
        self.subtrees.attempt_begins(own)
        return self.span(
            _named("invoke_agent", run),
            trace,
            own=own,
            parent=trace.root_id,
            began=began,
            said=said,
            links=links,
        )

    def _root(self, run: Run, trace: RunTrace, began: int, ended: int, said: Mapping[str, Any]) -> None:
        span = self.span(
            _named("run", run),
            trace,
            own=trace.root_id,
            parent=trace.parent_id,
            began=began,
            said={**about(run), "lgs.priority": run.priority.value, **said},
            kind=SpanKind.SERVER,
        )
        span.end(max(began, ended))

    def _waited(self, run: Run, trace: RunTrace, claimed: int) -> None:
        due = min(nanoseconds(run.due_at), claimed)
        said = {**about(run), "lgs.priority": run.priority.value}
        self.span("queue.wait", trace, parent=trace.root_id, began=due, said=said).end(claimed)

    def span(
        self,
        name: str,
        trace: RunTrace,
        *,
        own: int | None = None,
        parent: int | None,
        began: int,
        said: Mapping[str, Any],
        kind: SpanKind = SpanKind.INTERNAL,
        links: Sequence[Link] = (),
    ) -> api.Span:
        """A span of a run's trace that began at `began`. `own`: its id, if others must know it."""
        above = api.INVALID_SPAN if parent is None else NonRecordingSpan(self._context(trace, parent))
        span_id = self.ids.generate_span_id() if own is None else own
        with self.ids.next(trace.trace_id, span_id):
            within = api.set_span_in_context(above, Context())
            return self.tracer.start_span(name, within, kind, dict(said), links, began)

    @staticmethod
    def _context(trace: RunTrace, span_id: int) -> SpanContext:
        flags = TraceFlags(TraceFlags.SAMPLED if trace.sampled else TraceFlags.DEFAULT)
        state = TraceState.from_header([trace.tracestate]) if trace.tracestate else None
        return SpanContext(trace.trace_id, span_id, is_remote=True, trace_flags=flags, trace_state=state)


def _limits() -> SpanLimits:
    """The SDK's limits, but with more attributes unless a variable limits them: each part of a message is
    one."""
    said = any(os.environ.get(f"OTEL_{kind}ATTRIBUTE_COUNT_LIMIT") for kind in ("SPAN_", ""))
    return SpanLimits() if said else SpanLimits(max_span_attributes=MOST_ATTRIBUTES)


def _named(what: str, run: Run) -> str:
    return f"{what} {run.graph_id}" if run.graph_id else what


def about(run: Run) -> dict[str, str]:
    """The attributes of all our spans that name the run. `session.id` is OpenInference's name for a
    conversation."""
    return {
        "lgs.run_id": run.run_id,
        "lgs.thread_id": run.thread_id,
        "session.id": run.thread_id,
        "gen_ai.conversation.id": run.thread_id,
    }


def nanoseconds(moment: datetime | None) -> int:
    """Nanoseconds since the epoch; now if there is no moment."""
    return time_ns() if moment is None else int(moment.timestamp() * 1_000_000) * 1000
