"""Checkpointers, which keep the state of graphs between supersteps and may be shared by several replicas.

`FastPostgresSaver` and `FastSqliteSaver` can be used on their own in any LangGraph program; see
docs/checkpointer.md.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from lgs_runtime.checkpoint.postgres.saver import FastPostgresSaver
    from lgs_runtime.checkpoint.sqlite.saver import FastSqliteSaver

__all__ = ["FastPostgresSaver", "FastSqliteSaver"]

_MODULES: Final = {"FastPostgresSaver": "postgres", "FastSqliteSaver": "sqlite"}


def __getattr__(name: str) -> Any:
    """Imports a saver, and with it the driver of its database, when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}.saver"), name)
