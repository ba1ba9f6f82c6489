"""Errors of the tracing are logged, and the run goes on without its spans."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import structlog

P = ParamSpec("P")
T = TypeVar("T")
log = structlog.get_logger(__name__)


def harmless(work: Callable[P, T]) -> Callable[P, T | None]:
    """Wraps a function so that it returns None where it would raise."""

    @wraps(work)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            return work(*args, **kwargs)
        except Exception:
            log.exception("tracing.failed", step=work.__name__)
            return None

    return guarded
