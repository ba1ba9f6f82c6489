"""Turns what a graph's own code raises while a request waits for it into an answer with its message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from lgs_runtime.errors import ProviderFailed, RuntimeFault
from lgs_runtime.event_loop import RAISED, is_cancelled
from lgs_runtime.tracebacks import named_text

log = structlog.get_logger(__name__)


def graph_failed(graph_id: str, raised: BaseException) -> RuntimeFault:
    """The error answer for what a graph's factory, edge or reducer raised; a `RuntimeFault` stays as it
    is."""
    if isinstance(raised, RuntimeFault):
        return raised
    return ProviderFailed(f"graph {graph_id}: {named_text(raised)}")


@contextmanager
def graph_called(graph_id: str) -> Iterator[None]:
    """Wraps a call of a graph for a request. Raises what `graph_failed` makes."""
    try:
        yield
    except RAISED as raised:
        if is_cancelled(raised):
            raise
        fault = graph_failed(graph_id, raised)
        if fault is raised:
            raise
        log.warning("graph.failed", graph_id=graph_id, exc_info=raised)
        raise fault from raised
