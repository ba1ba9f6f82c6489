"""Tells failures of the service's own database from those of the code that runs above it.

What counts is where an error comes from, never its type: a graph, an embedding provider or an HTTP client may
raise the same `OSError`, or errors of the same driver, for reasons of their own. So the errors of our drivers
are translated where they are called: a `StorageUnavailable` is the database's failure, and nothing else is.
"""

from __future__ import annotations

from typing import Final

from lgs_runtime.errors import StorageUnavailable

CONNECTION_ERRORS: Final = frozenset(
    {
        "OSError",
        "OperationalError",
        "InterfaceError",
        "PoolTimeout",
        "PostgresConnectionError",
        "OperatorInterventionError",
        "AutoReconnect",
        "ConnectionError",
        "ConnectionFailure",
        "TimeoutError",
    }
)
"""Names of the exception classes, or of their base classes, by which drivers report a lost connection.
Compared by name, so that no driver is loaded that is not needed."""


def from_persistence(raised: BaseException) -> bool:
    """Whether an error is a failure of our own database; for a group of errors, whether all of them are."""
    if isinstance(raised, BaseExceptionGroup):
        return all(from_persistence(each) for each in raised.exceptions)
    return isinstance(raised, StorageUnavailable)


def lost_connection(raised: BaseException) -> bool:
    """Whether an error of a driver, or of a library built on one, means that a connection is lost."""
    return any(kind.__name__ in CONNECTION_ERRORS for kind in type(raised).__mro__)
