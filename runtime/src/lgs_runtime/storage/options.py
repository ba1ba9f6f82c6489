"""How a storage is opened, beside where it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

VERSIONS_LIMIT: Final = 100
"""How many versions of a thread are kept unless the settings say otherwise."""


@dataclass(frozen=True, slots=True)
class StorageOptions:
    """The same for both databases."""

    lease_seconds: float
    """A replica that has not renewed its lease for so long is taken for dead."""
    versions_limit: int = VERSIONS_LIMIT
    """A thread with more versions is marked for pruning."""
    direct_uri: str | None = None
    """The PostgreSQL without the pooler that the storage goes through, to listen at; None: there is none, or
    no other way."""
    database_id: str | None = None
    """The id of the database that the service has known; None: it has known none, and an empty one is
    migrated."""
