"""Whose failure an error is: that of the service's own database, or that of the code above.

That is decided by where an error comes from, never by its type: a graph, an embedding provider or an HTTP
client may raise the same `OSError`, or the same driver's errors, for reasons of their own. So each of our
drivers is translated where it is called, and `StorageUnavailable` is the database's failure; nothing else
is.
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
"""What drivers call the loss of their connection, by the names of the classes and of those above them: so no
driver is loaded that is not needed."""


def from_persistence(raised: BaseException) -> bool:
    """Whether an error is our own database's. A group of errors is when all of them are."""
    if isinstance(raised, BaseExceptionGroup):
        return all(from_persistence(each) for each in raised.exceptions)
    return isinstance(raised, StorageUnavailable)


def lost_connection(raised: BaseException) -> bool:
    """Whether an error of a driver, or of what was built on one, means that a connection is lost."""
    return any(kind.__name__ in CONNECTION_ERRORS for kind in type(raised).__mro__)
