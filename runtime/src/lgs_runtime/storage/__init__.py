"""Where runs, threads and assistants are kept: one contract, a SQLite and a Postgres implementation."""

from lgs_runtime.storage.backends import open_storage
from lgs_runtime.storage.contract import Lease, Storage
from lgs_runtime.storage.options import StorageOptions

__all__ = ["Lease", "Storage", "StorageOptions", "open_storage"]
