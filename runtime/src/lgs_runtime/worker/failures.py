"""Decides for a graph's circuit breaker whether the end of an attempt is a success or failure of the graph.

A graph has failed if one of its nodes raised, if it could not be made, or if it took too long. These count as
neither: a run that was cancelled, interrupted, handed back or lost, a cached answer, an unreachable database,
input that the graph's schema refuses before a node runs, and a server's answer that a request is invalid.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from langgraph.constants import START
from langgraph.errors import GraphBubbleUp, GraphRecursionError, InvalidUpdateError
from langgraph.pregel import _read as reading_of_state
from langgraph.pregel import _retry as execution_of_nodes

from lgs_runtime.breaker.state_machine import Result
from lgs_runtime.errors import RuntimeFault
from lgs_runtime.event_loop import EXITS
from lgs_runtime.graph_metrics import Failure
from lgs_runtime.model import Outcome
from lgs_runtime.series import UNKNOWN
from lgs_runtime.tracebacks import passed_through
from lgs_runtime.worker.attempt import Attempt, HandBack

IN_A_NODE: Final = Path(execution_of_nodes.__file__)
"""The file that is in the traceback of every exception that a node raises."""
IN_A_READ: Final = Path(reading_of_state.__file__)
"""The file that is in the traceback if a reducer or a schema raises while an edge reads the state."""
OF_A_TASK: Final = "During task with name "
AT_THE_START: Final = f"{OF_A_TASK}'{START}'"
NODE: Final = re.compile(rf"{OF_A_TASK}'(.*)' and id ")
"""The note by which LangGraph records in an exception which task raised it."""
OF_THE_REQUEST: Final = (GraphBubbleUp, GraphRecursionError, InvalidUpdateError, RuntimeFault)
REFUSED: Final = frozenset({400, 413, 422})
"""HTTP statuses for requests that can't succeed, such as too many tokens or a bad argument."""


def result_of(end: Outcome | HandBack, attempt: Attempt, ignored: Sequence[str]) -> Result:
    """The result of an attempt for the circuit breaker. `ignored`: names of exceptions that do not count."""
    if isinstance(end, HandBack) or attempt.cached:
        return Result.NEITHER
    if end.status == "success":
        return Result.SUCCESS
    if end.status == "timeout":
        return Result.FAILURE
    raised = attempt.raised
    if end.status != "error" or raised is None:
        return Result.NEITHER
    try:
        in_graph = not attempt.opened or (passed_through(raised, IN_A_NODE) and not _of_the_input(raised))
        return Result.FAILURE if in_graph and _is_failure(raised, ignored) else Result.NEITHER
    # An exception's own methods may raise anything, also what would end the task without an end of its run.
    except BaseException:  # noqa: BLE001
        return Result.FAILURE


def failure_of(end: Outcome, attempt: Attempt) -> Failure | None:
    """The failure to count for a run, with the innermost node that raised; None if it did not fail."""
    if end.status == "timeout":
        return Failure("TimeoutError")
    if end.status != "error":
        return None
    if attempt.raised is None:
        return Failure(UNKNOWN)
    found = next(filter(None, map(NODE.match, _tasks_of(attempt.raised))), None)
    return Failure(type(attempt.raised).__name__, found[1] if found else "")


def _tasks_of(raised: BaseException) -> list[str]:
    """LangGraph's notes of the tasks that an exception passed through, innermost first."""
    notes = getattr(raised, "__notes__", ())
    return [note for note in notes if isinstance(note, str) and note.startswith(OF_A_TASK)]


def _of_the_input(raised: BaseException) -> bool:
    """Whether the state refused the input. A conditional edge from the start reads the state with the input,
    which LangGraph executes as if it were a node."""
    tasks = _tasks_of(raised)
    return bool(tasks) and tasks[-1].startswith(AT_THE_START) and passed_through(raised, IN_A_READ)


def _is_failure(raised: BaseException, ignored: Sequence[str]) -> bool:
    if isinstance(raised, BaseExceptionGroup):
        return any(_is_failure(each, ignored) for each in raised.exceptions)
    if not isinstance(raised, (Exception, *EXITS)) or isinstance(raised, OF_THE_REQUEST):
        return False
    names = {
        name
        for kind in type(raised).__mro__
        for name in (kind.__name__, f"{kind.__module__}.{kind.__qualname__}")
    }
    return names.isdisjoint(ignored) and _status_of(raised) not in REFUSED


def _status_of(raised: BaseException) -> int | None:
    """The HTTP status in an exception of an HTTP client (openai, anthropic, httpx, requests); None if it has
    none, or one that is not a number."""
    answer = getattr(raised, "response", None)
    found = getattr(raised, "status_code", None) or getattr(answer, "status_code", None)
    return found if isinstance(found, int) else None
