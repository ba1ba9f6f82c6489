"""The storage of runs, threads and assistants: one contract, implemented for SQLite and for PostgreSQL."""

from lgs_runtime.storage.backends import open_storage
from lgs_runtime.storage.contract import Lease, Storage
from lgs_runtime.storage.options import StorageOptions

__all__ = ["Lease", "Storage", "StorageOptions", "open_storage"]
