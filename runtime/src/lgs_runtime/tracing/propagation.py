"""The trace that a request belongs to (W3C Trace Context: `traceparent`, `tracestate`; `baggage`), and the
form in which it is stored with a run.

An unreadable header counts as not sent: it must not keep a run from being made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from lgs_runtime.tracing.identity import root_id_of, trace_id_of
from lgs_runtime.tracing.sampling import is_sampled

TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
SAMPLED: Final = 1
LONGEST_STATE: Final = 512
MOST_IN_STATE: Final = 32
LONGEST_BAGGAGE: Final = 8192
"""W3C's limits: characters of a `tracestate`, its members, and characters of `baggage`."""


@dataclass(frozen=True, slots=True)
class Parent:
    """The client's span that a request belongs to."""

    trace_id: int
    span_id: int
    sampled: bool
    tracestate: str = ""


@dataclass(frozen=True, slots=True)
class Incoming:
    """The request that is being answered."""

    method: str
    path: str
    began: int
    """Nanoseconds since the epoch; 0 for a connection over which requests come."""
    parent: Parent | None = None
    baggage: str = ""
    ratio: float = 1.0
    parent_based: bool = True
    """How traces of the runs that the request makes are sampled: with `parent_based` as the client's trace
    is, if it has one; else the share `ratio`."""


incoming: Final[ContextVar[Incoming | None]] = ContextVar("lgs_incoming", default=None)
"""The present request; set only where runs are traced."""
outgoing: Final[ContextVar[tuple[tuple[bytes, bytes], ...]]] = ContextVar("lgs_outgoing", default=())
"""Headers with which a request of the present attempt to its own server continues its trace."""


@dataclass(frozen=True, slots=True)
class RunTrace:
    """The trace of a run. All of its spans are under `root_id`."""

    trace_id: int
    root_id: int
    sampled: bool
    parent_id: int | None = None
    """The client's span, which the root span is under."""
    tracestate: str = ""
    baggage: str = ""
    known: bool = True
    """Whether the request that stored the run has made the root span."""

    @property
    def hex(self) -> str:
        """The trace id in hexadecimal."""
        return f"{self.trace_id:032x}"

    def traceparent(self, span_id: int | None = None) -> str:
        """The header that continues from a span; from the root if none is given."""
        return written(self.trace_id, self.root_id if span_id is None else span_id, self.sampled)

    def to_json(self) -> dict[str, Any]:
        """The form that is stored with the run."""
        parent = None if self.parent_id is None else f"{self.parent_id:016x}"
        stored = {"parent": parent, "tracestate": self.tracestate, "baggage": self.baggage}
        return {"traceparent": self.traceparent(), **{name: said for name, said in stored.items() if said}}


def written(trace_id: int, span_id: int, sampled: bool) -> str:
    """Formats a `traceparent`."""
    return f"00-{trace_id:032x}-{span_id:016x}-{int(sampled):02x}"


def parent_of(traceparent: str | None, tracestate: str = "") -> Parent | None:
    """The span that a header names; None if it names none."""
    found = TRACEPARENT.fullmatch((traceparent or "").strip())
    if found is None:
        return None
    version, trace, span, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or not int(trace, 16) or not int(span, 16):
        return None
    return Parent(int(trace, 16), int(span, 16), bool(int(flags, 16) & SAMPLED), _state(tracestate))


def incoming_of(
    method: str, path: str, headers: Mapping[str, str], began: int, *, ratio: float, parent_based: bool
) -> Incoming:
    """A request, with the trace that its headers say it belongs to."""
    parent = parent_of(headers.get("traceparent"), headers.get("tracestate", ""))
    baggage = headers.get("baggage", "").strip()
    fits = len(baggage) <= LONGEST_BAGGAGE and baggage.isascii() and baggage.isprintable()
    return Incoming(method, path, began, parent, baggage if fits else "", ratio, parent_based)


def stored_trace(run_id: str) -> dict[str, Any] | None:
    """What to store with a run that the present request makes; None where runs are not traced."""
    request = incoming.get()
    return None if request is None else trace_of_request(run_id, request).to_json()


def trace_of_request(run_id: str, request: Incoming) -> RunTrace:
    """The trace of a run that a request makes: the client's own, if it has one."""
    parent = request.parent
    trace_id = trace_id_of(run_id) if parent is None else parent.trace_id
    decides = parent is not None and request.parent_based
    sampled = parent.sampled if parent is not None and decides else is_sampled(trace_id, request.ratio)
    return RunTrace(
        trace_id=trace_id,
        root_id=root_id_of(run_id),
        sampled=sampled,
        parent_id=None if parent is None else parent.span_id,
        tracestate="" if parent is None else parent.tracestate,
        baggage=request.baggage,
    )


def trace_of_run(run_id: str, stored: object, *, ratio: float) -> RunTrace:
    """The trace of a run, from what is stored with it; from its id alone if no traced request made it."""
    if isinstance(stored, Mapping) and (root := parent_of(stored.get("traceparent"))) is not None:
        parent, state, baggage = (str(stored.get(name) or "") for name in ("parent", "tracestate", "baggage"))
        return RunTrace(
            trace_id=root.trace_id,
            root_id=root.span_id,
            sampled=root.sampled,
            parent_id=int(parent, 16) if parent else None,
            tracestate=state,
            baggage=baggage,
        )
    trace_id = trace_id_of(run_id)
    return RunTrace(trace_id, root_id_of(run_id), is_sampled(trace_id, ratio), known=False)


def _state(text: str) -> str:
    """A `tracestate` to pass on: whole, or not at all."""
    members = [one for one in (each.strip() for each in text.split(",")) if one]
    whole = all("=" in one and one.isascii() and one.isprintable() for one in members)
    fits = len(members) <= MOST_IN_STATE and len(text) <= LONGEST_STATE
    return ",".join(members) if whole and fits else ""
