"""Structured logs on stderr: JSON, one object a line; coloured text on a terminal. `LOG_JSON` and `LOG_LEVEL`
say otherwise."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Any, Final

import orjson
import structlog

LEVELS: Final = {
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "WARNING": logging.WARNING,
    "ERROR": logging.ERROR,
    "CRITICAL": logging.CRITICAL,
}
ASGI_SERVER: Final = "uvicorn.error"
OURS: Final = frozenset({"lgs_runtime", "uvicorn", "asyncio"})
LOGGED: Final = "_lgs_logged"
_AS_IT_WAS: Final = (
    orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS
)
"""Values of such types are written as other objects are."""


def ensure_plain() -> None:
    """Keeps structlog's defaults, where nobody configured it, from drawing each traceback as a page of boxes,
    which takes seconds."""
    if not structlog.is_configured():
        structlog.configure(
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
            ]
        )


def configure(level: str = "INFO", *, as_json: bool | None = None) -> Callable[[], None]:
    """Sets up structlog and sends what other libraries log the same way; `as_json` unless it is a terminal.
    To be called once, by the command.

    What it gives sets it up again: code of an application may set up logging of its own when it is loaded,
    and must not silence the replica.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    for_people = sys.stderr.isatty() if as_json is None else not as_json
    shown: list[Any] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if for_people
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_json)]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(shared, shown))

    def again() -> None:
        structlog.configure(
            processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
            wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
            logger_factory=structlog.stdlib.LoggerFactory(),
            cache_logger_on_first_use=True,
        )
        _take(logging.getLogger(), handler, LEVELS[level])

    again()
    logging.getLogger().handlers[:] = [handler]
    logging.getLogger(ASGI_SERVER).addFilter(_not_logged)
    return again


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Lines of ours and of other libraries. What structlog does for each, a copy of the record, would be half
    of what a line of ours takes, and there is one a run."""

    def __init__(self, shared: list[Any], shown: list[Any]) -> None:
        """`shared`: what ours went through already; `shown`: what makes the text."""
        without_traces = structlog.stdlib.ProcessorFormatter.remove_processors_meta
        super().__init__(foreign_pre_chain=shared, processors=[without_traces, *shown])
        self._shown = shown

    def format(self, record: logging.LogRecord) -> str:
        """The line, or lines."""
        if not isinstance(record.msg, dict) or not hasattr(record, "_logger"):
            return super().format(record)
        # Other handlers' formatters get the same record.
        event: Any = record.msg.copy()
        for processor in self._shown:
            event = processor(None, record.levelname.lower(), event)
        return str(event)


def _json(event: MutableMapping[str, Any], *, default: Callable[[Any], Any]) -> str:
    """As `json.dumps`, ten times as fast, but for what only that can write."""
    try:
        return orjson.dumps(event, default, _AS_IT_WAS).decode()
    except TypeError:
        return json.dumps(event, default=default)


def mark_logged(raised: BaseException) -> None:
    """Marks an exception as logged, so that it is not logged again further out."""
    with suppress(AttributeError):
        raised.__dict__[LOGGED] = True


def _not_logged(record: logging.LogRecord) -> bool:
    raised = record.exc_info[1] if record.exc_info else None
    return not getattr(raised, LOGGED, False)


def _take(root: logging.Logger, handler: logging.Handler, level: int) -> None:
    """Has all that is logged go through the handler, and no line go to a terminal twice. Files and the like
    stay where an application has them written."""
    root.handlers[:] = [handler, *(other for other in root.handlers if not _is_stream(other))]
    root.setLevel(level)
    for name, logger in list(logging.Logger.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and name.partition(".")[0] in OURS:
            # logging.config disables all loggers that it does not name.
            logger.disabled = False
    for chatty in ("uvicorn.access", "httpx", "aiosqlite"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _is_stream(handler: logging.Handler) -> bool:
    return isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler)
