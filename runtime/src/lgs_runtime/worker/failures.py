"""What the end of an attempt says of its graph, for the graph's circuit breaker: whose failure an error is.

A graph has failed when one of its nodes raised, when it could not be made, or when it took too long. Nothing
is said by what was cancelled, interrupted, handed back or lost, by an answer that was cached, by a database
that is away, by input that the graph's schema refuses before a node runs, nor by an answer of a server that
refuses what it was sent.
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
"""The file through which all goes that a node raises."""
IN_A_READ: Final = Path(reading_of_state.__file__)
"""The file through which goes what a reducer or a schema raises when an edge reads the state."""
OF_A_TASK: Final = "During task with name "
AT_THE_START: Final = f"{OF_A_TASK}'{START}'"
NODE: Final = re.compile(rf"{OF_A_TASK}'(.*)' and id ")
"""How LangGraph notes in an exception which task it is of."""
OF_THE_REQUEST: Final = (GraphBubbleUp, GraphRecursionError, InvalidUpdateError, RuntimeFault)
REFUSED: Final = frozenset({400, 413, 422})
"""Statuses of answers to requests that can't succeed, such as too many tokens or a bad argument."""


def result_of(end: Outcome | HandBack, attempt: Attempt, ignored: Sequence[str]) -> Result:
    """What an attempt says that ended so. `ignored`: names of exceptions that say nothing."""
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
    # An exception's own methods raise anything, also what would end the task without an end of its run.
    except BaseException:  # noqa: BLE001
        return Result.FAILURE


def failure_of(end: Outcome, attempt: Attempt) -> Failure | None:
    """What ended a run that is to be counted as failed: the innermost node that raised."""
    if end.status == "timeout":
        return Failure("TimeoutError")
    if end.status != "error":
        return None
    if attempt.raised is None:
        return Failure(UNKNOWN)
    found = next(filter(None, map(NODE.match, _tasks_of(attempt.raised))), None)
    return Failure(type(attempt.raised).__name__, found[1] if found else "")


def _tasks_of(raised: BaseException) -> list[str]:
    """LangGraph's notes of the tasks that an exception went through, the innermost first."""
    notes = getattr(raised, "__notes__", ())
    return [note for note in notes if isinstance(note, str) and note.startswith(OF_A_TASK)]


def _of_the_input(raised: BaseException) -> bool:
    """Whether the state did not take the input. A conditional edge from the start reads the state with the
    input in it, which LangGraph does as if a node did it."""
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
    """The HTTP status of an answer that clients of servers raise: openai, anthropic, httpx, requests. None of
    what has another kind of one."""
    answer = getattr(raised, "response", None)
    found = getattr(raised, "status_code", None) or getattr(answer, "status_code", None)
    return found if isinstance(found, int) else None
