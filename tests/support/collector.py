"""A real OpenTelemetry Collector on a free port of 127.0.0.1, and what it has received.
`tools/setup/collector.sh` builds it."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.ports import wait_until
from support.server_program import ServerProgram

SECRET = "the-word-that-no-span-may-say"
CONFIG = """
receivers: {otlp: {protocols: {http: {endpoint: "127.0.0.1:%d"}}}}
exporters: {lines: {path: "%s"}}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {traces: {receivers: [otlp], exporters: [lines]}}
"""


def program() -> Path | None:
    """The collector, or None."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    built = cache / "lgs-toolchain" / "bin" / "otel-collector"
    return built if built.exists() else None


@dataclass(frozen=True)
class Span:
    """A span as the collector received it."""

    name: str
    scope: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    began: int
    ended: int
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]
    links: tuple[str, ...]
    failed: bool
    whole: str
    """All of it, as JSON."""


class Collector(ServerProgram):
    """One server, whose account lasts as long as it does."""

    name = "collector"
    stop_by = signal.SIGTERM

    def __init__(self) -> None:
        super().__init__()
        self.url = f"http://127.0.0.1:{self.port}"
        self._received = self.folder / "received.jsonl"
        (self.folder / "config.yaml").write_text(CONFIG % (self.port, self._received))

    def spans(self) -> list[Span]:
        """All that it has received."""
        return received(self._received.read_text()) if self._received.exists() else []

    def trace(self, trace_id: str) -> list[Span]:
        """The spans of one trace, in the order of their beginnings."""
        return sorted(
            (each for each in self.spans() if each.trace_id == trace_id), key=lambda each: each.began
        )

    def of_run(self, run_id: str) -> list[Span]:
        """The spans of the trace of a run."""
        named = [each.trace_id for each in self.spans() if each.attributes.get("lgs.run_id") == run_id]
        return self.trace(named[0]) if named else []

    def wait_for(self, run_id: str, ready: Callable[[list[Span]], bool]) -> list[Span]:
        """The trace of a run, as soon as `ready` says that what is waited for is in it."""
        wait_until(lambda: ready(self.of_run(run_id)), f"the trace of run {run_id} (log in {self.folder})")
        return self.of_run(run_id)

    def wait_for_trace(self, trace_id: str, ready: Callable[[list[Span]], bool]) -> list[Span]:
        """The same of a trace."""
        wait_until(lambda: ready(self.trace(trace_id)), f"trace {trace_id} (log in {self.folder})")
        return self.trace(trace_id)

    def whole(self, run_id: str, outcome: str = "success") -> list[Span]:
        """The trace of a run, when the attempt that ended it is there."""
        return self.wait_for(run_id, lambda spans: outcome in [of_attempt(each) for each in spans])

    def _command(self) -> Sequence[str]:
        found = program()
        if found is None:
            raise RuntimeError("otel-collector not found: run tools/setup/collector.sh")
        return [str(found), "--config", f"file:{self.folder}/config.yaml"]

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def received(account: str) -> list[Span]:
    """The spans of what a collector wrote."""
    # The last line may be on its way.
    lines = [line for line in account.splitlines() if line.endswith("}")]
    return [span for line in lines for span in _spans(json.loads(line))]


def of_attempt(span: Span) -> str | None:
    """How the attempt ended that the span is of, if it is of one."""
    outcome = span.attributes.get("lgs.attempt.outcome")
    return None if outcome is None else str(outcome)


def orphans(spans: Sequence[Span], client: str = "") -> list[str]:
    """Spans whose parent is neither there nor the client's."""
    known = {each.span_id for each in spans} | {"", client}
    return [each.name for each in spans if each.parent_id not in known]


def _spans(batch: Mapping[str, Any]) -> Iterator[Span]:
    for resource in batch.get("resourceSpans", ()):
        about = _attributes(resource["resource"])
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                yield Span(
                    name=span["name"],
                    scope=scope["scope"]["name"],
                    trace_id=span["traceId"],
                    span_id=span["spanId"],
                    parent_id=span.get("parentSpanId", ""),
                    kind=span["kind"],
                    began=int(span["startTimeUnixNano"]),
                    ended=int(span["endTimeUnixNano"]),
                    attributes=_attributes(span),
                    resource=about,
                    links=tuple(link["spanId"] for link in span.get("links", ())),
                    failed=span.get("status", {}).get("code") == 2,
                    whole=json.dumps(span),
                )


def _attributes(holder: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for each in holder.get("attributes", ()):
        ((kind, value),) = each["value"].items()
        found[each["key"]] = int(value) if kind == "intValue" else value
    return found
