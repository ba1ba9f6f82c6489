"""What each process of the operator's image does before all else: how it logs, how deep an object it can
read, and what ends it."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from typing import Final

import structlog

from lgs_operator.kube.deep_json import read_deeply

FRAMES: Final = 30_000
"""Python's recursion limit. The API server takes objects nested 10,000 levels deep, and a watch must be able
to read each object of its kind: otherwise one tenant's service would end the watch of all."""


def prepare() -> None:
    """Raises the recursion limit, and logs as JSON."""
    sys.setrecursionlimit(FRAMES)
    read_deeply()
    log_as_json()


def stop_on_signals(stop: asyncio.Event) -> None:
    """Has SIGTERM and SIGINT set `stop`. Called in the event loop that it belongs to."""
    loop = asyncio.get_running_loop()
    for caught in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(caught, stop.set)


def log_as_json() -> None:
    """Logs one JSON record a line, exceptions with their tracebacks."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    logging.basicConfig(level=logging.WARNING)
