"""Structured logs on stderr: JSON, one object per line, or coloured text on a terminal. `LOG_JSON` chooses
between the two, `LOG_LEVEL` sets the level."""

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
CHATTY: Final = ("uvicorn.access", "httpx", "aiosqlite")
OURS: Final = frozenset({"lgs_runtime", "uvicorn", "asyncio"})
LOGGED: Final = "_lgs_logged"
_AS_IT_WAS: Final = (
    orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS
)
"""Types that `orjson` leaves to the `default` function, as it does other objects."""


def ensure_plain() -> None:
    """Configures structlog, unless it is configured already, to print plain tracebacks: by default it draws
    each as a page of boxes, which takes seconds."""
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
    """Sets up structlog, and routes the logs of other libraries the same way. `as_json` None: JSON unless
    stderr is a terminal. Called once, by the command.

    Returns a function that sets it up again: application code may configure logging when it is loaded, and
    must not silence the replica.
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
    """Formats our own records and those of other libraries. structlog's copy of each record would be half of
    the cost of one of our lines, of which each run writes one."""

    def __init__(self, shared: list[Any], shown: list[Any]) -> None:
        """`shared`: processors that our own records have passed already; `shown`: those that make the
        text."""
        without_traces = structlog.stdlib.ProcessorFormatter.remove_processors_meta
        super().__init__(foreign_pre_chain=shared, processors=[without_traces, *shown])
        self._shown = shown

    def format(self, record: logging.LogRecord) -> str:
        """The text of a record, one or more lines."""
        if not isinstance(record.msg, dict) or not hasattr(record, "_logger"):
            return super().format(record)
        # Other handlers' formatters get the same record.
        event: Any = record.msg.copy()
        for processor in self._shown:
            event = processor(None, record.levelname.lower(), event)
        return str(event)


def _json(event: MutableMapping[str, Any], *, default: Callable[[Any], Any]) -> str:
    """Like `json.dumps`, but ten times as fast; falls back to it for values that only it can write."""
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
    """Sends all logs through the handler, and replaces other stream handlers so that no line appears twice.
    Handlers that an application has added for files and the like stay."""
    root.handlers[:] = [handler, *(other for other in root.handlers if not _is_stream(other))]
    root.setLevel(level)
    for name, logger in list(logging.Logger.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and name.partition(".")[0] in OURS:
            # logging.config disables all loggers that it does not name.
            logger.disabled = False
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _is_stream(handler: logging.Handler) -> bool:
    return isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler)
