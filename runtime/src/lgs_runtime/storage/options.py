"""The options with which a storage is opened, apart from its address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lgs_runtime.storage.tables import USUAL_FAMILIES

VERSIONS_LIMIT: Final = 100
"""How many versions of a thread are kept unless the settings say otherwise."""


@dataclass(frozen=True, slots=True)
class StorageOptions:
    """Options that are the same for both databases."""

    lease_seconds: float
    """Seconds after which a replica that has not renewed its lease is considered dead."""
    versions_limit: int = VERSIONS_LIMIT
    """A thread with more versions is marked for pruning."""
    direct_uri: str | None = None
    """The PostgreSQL behind the pooler that the storage goes through, to listen at; None: there is no pooler,
    or no other way."""
    database_id: str | None = None
    """The id of the database that the service has used before; None: it has used none, and an empty one is
    migrated."""
    families: frozenset[str] = USUAL_FAMILIES
    """The families of tables that this replica uses in the database beside the storage's own: those of the
    checkpointer and of the store, unless the application brings its own ones."""
