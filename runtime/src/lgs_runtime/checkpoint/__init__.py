"""Where graphs keep their state between supersteps: savers and stores, ready for several replicas.

`FastPostgresSaver` can be used by itself in any LangGraph program; see docs/checkpointer.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lgs_runtime.checkpoint.postgres.saver import FastPostgresSaver

__all__ = ["FastPostgresSaver"]


def __getattr__(name: str) -> Any:
    """Loads the driver of PostgreSQL only where it is used."""
    if name != "FastPostgresSaver":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lgs_runtime.checkpoint.postgres.saver import FastPostgresSaver  # noqa: PLC0415

    return FastPostgresSaver
