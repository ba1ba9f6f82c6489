"""Where graphs keep their state between supersteps: savers, ready for several replicas.

`FastPostgresSaver` and `FastSqliteSaver` can be used by themselves in any LangGraph program; see
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
    """Loads the driver of a database only where it is used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}.saver"), name)
