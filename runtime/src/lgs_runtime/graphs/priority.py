"""`priority` of langgraph.json: the `langgraph_sdk.Priority` object whose function decides where a thread's
runs stand in the queue.

A wrong setting is a `ConfigError` at start. If the function fails, returns an invalid answer or takes too
long, the request is refused and nothing is stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import structlog
from langgraph_sdk import Auth, Priority, PriorityContext

from lgs_runtime.checks import kind_of
from lgs_runtime.errors import ConfigError, HandlerFailed, RefusedByHandler
from lgs_runtime.event_loop import RAISED, is_cancelled
from lgs_runtime.graphs.importing import sdk_object
from lgs_runtime.model import AssignedPriority
from lgs_runtime.tracebacks import named_text

ANSWER_SECONDS: Final = 10.0
LONGEST_GROUP: Final = 256
LEVELS: Final = range(-5, 6)
KEYS: Final = ("priority", "fairness_group")
log = structlog.get_logger(__name__)


class PriorityHandler:
    """The service's assign function."""

    def __init__(self, priority: Priority, where: str) -> None:
        """`where` begins the messages."""
        assert priority._assign_handler is not None, "checked by load"
        self._assign = priority._assign_handler
        self._where = where

    @classmethod
    def load(cls, path: str, source: Path, import_paths: tuple[Path, ...]) -> PriorityHandler:
        """Loads the object at `path:variable`. Raises `ConfigError`."""
        where = f"priority.path: {path}"
        found = sdk_object(path, Priority, source, import_paths, where)
        if found._assign_handler is None:
            raise ConfigError(f"{where}: it must have a function that is registered with @priority.assign")
        return cls(found, where)

    async def assign(self, context: PriorityContext, group: str) -> AssignedPriority:
        """Where the runs of a thread stand in the queue; in `group` unless the function names another.

        Raises `HandlerFailed`, and `RefusedByHandler` for an `Auth.exceptions.HTTPException`.
        """
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await self._assign(context)
            return priority_of(answer, group)
        except Auth.exceptions.HTTPException as refused:
            raise RefusedByHandler(
                refused.status_code, refused.detail, dict(refused.headers or {})
            ) from refused
        # The function is the user's: it may raise anything; all of it is reported.
        except RAISED as raised:
            if is_cancelled(raised):
                raise
            log.error("priority.failed", where=self._where, exc_info=raised)
            said = named_text(raised)
            raise HandlerFailed(f"{self._where}: the assign function failed: {said}") from raised


def priority_of(answer: Any, group: str) -> AssignedPriority:
    """The meaning of an answer of the assign function. Raises `TypeError`, `ValueError`."""
    if not isinstance(answer, Mapping | None):
        raise TypeError(f"it returned {kind_of(answer)}; it must return a dict or None")
    given = {name: value for name, value in (answer or {}).items() if value is not None}
    if unknown := sorted(str(name) for name in given.keys() - set(KEYS)):
        raise ValueError(f"{unknown[0]}: unknown: must be one of {', '.join(KEYS)}")
    level, named = given.get("priority", 0), given.get("fairness_group", "")
    if isinstance(level, bool) or not isinstance(level, int) or level not in LEVELS:
        raise ValueError(f"priority: {level!r}: must be a whole number from {LEVELS[0]} to {LEVELS[-1]}")
    if not isinstance(named, str) or len(named) > LONGEST_GROUP:
        raise ValueError(f"fairness_group: {named!r}: must be a text of at most {LONGEST_GROUP} characters")
    return AssignedPriority(level, named or group)
