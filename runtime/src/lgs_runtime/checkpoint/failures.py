"""Whose failure an error is: that of the database under the checkpoints or the store, or that of the code
above.

LangGraph's savers and stores, and those of applications, raise what their drivers raise. A driver's error
that comes from anywhere else is that of a graph, which may talk to databases of its own.
"""

from __future__ import annotations

import traceback
from typing import Final

from lgs_runtime.errors import NotFound, StorageUnavailable

PERSISTENCE: Final = (
    "langgraph.checkpoint.",
    "langgraph.store.",
    "lgs_runtime.checkpoint",
    "lgs_runtime.storage",
)
"""How the names of the modules begin through which a failure of persistence has come."""
DRIVER_ERRORS: Final = frozenset(
    {
        "OperationalError",
        "InterfaceError",
        "PoolTimeout",
        "AdminShutdown",
        "ConnectionDoesNotExistError",
        "CannotConnectNowError",
        "AdminShutdownError",
        "CrashShutdownError",
        "ConnectionFailureError",
    }
)
"""By their names, so that no driver is loaded that is not needed."""


def from_persistence(raised: BaseException) -> bool:
    """Whether an error is the database's under the checkpoints or the store, rather than the graph's own."""
    if isinstance(raised, StorageUnavailable):
        return True
    if isinstance(raised, NotFound) or (
        type(raised).__name__ not in DRIVER_ERRORS and not isinstance(raised, OSError)
    ):
        return False
    frames = traceback.walk_tb(raised.__traceback__)
    return any(frame.f_globals.get("__name__", "").startswith(PERSISTENCE) for frame, _ in frames)
