"""Where runs, threads and assistants are kept: one contract, a SQLite and a Postgres implementation."""

from lgs_runtime.storage.contract import Leases, Queue, Records, Storage
from lgs_runtime.storage.opening import open_storage

__all__ = ["Leases", "Queue", "Records", "Storage", "open_storage"]
