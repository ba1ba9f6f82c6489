"""The fast savers by the URI of a database, as any program opens them."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

from lgs_runtime.checkpoint import FastPostgresSaver, FastSqliteSaver


def fast_saver(uri: str, **options: Any) -> AbstractAsyncContextManager[FastPostgresSaver | FastSqliteSaver]:
    """`FastPostgresSaver` or `FastSqliteSaver`, with their own defaults."""
    if uri.startswith("sqlite:///"):
        return FastSqliteSaver.from_conn_string(uri.removeprefix("sqlite:///"), **options)
    return FastPostgresSaver.from_conn_string(uri, **options)
