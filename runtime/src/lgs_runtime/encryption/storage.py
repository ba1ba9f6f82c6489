"""A storage over another: what the application's data are in is sealed on its way in, and opened on its way
out. The databases, their statements and their order know nothing of it."""

from __future__ import annotations

from typing import Any, Final, cast

from lgs_runtime.encryption.cipher import Cipher
from lgs_runtime.encryption.fields import Fields
from lgs_runtime.encryption.queue import EncryptedQueue
from lgs_runtime.encryption.records import EncryptedCrons, EncryptedHistories, EncryptedRecords
from lgs_runtime.storage.contract import Storage

PASSED_ON: Final = frozenset(
    {
        "release",
        "take_only",
        "expire_runs",
        "release_webhook",
        "drop_webhook",
        "orphaned_threads",
        "forget_orphaned",
        "depth",
        "expire_threads",
        "note_pruned",
        "threads_over_version_limit",
        "prune_versions",
        "forget_crowded",
        "note",
        "expire_audit",
        "thread_ids",
        "expect_spent",
        "advance_cron",
        "name",
        "database_id",
        "ping",
        "now",
        "leases",
        "signals",
        "finished_runs",
        "changed_threads",
        "notify",
        "close",
    }
)
"""What else the contract has: it carries ids, times and counts, and goes through as it is. A method that is
neither here nor sealed is refused, so that a new one is looked at."""


class EncryptedStorage(EncryptedQueue, EncryptedRecords, EncryptedHistories, EncryptedCrons):
    """The `Storage` of the contract."""

    def __init__(self, inner: Storage, cipher: Cipher) -> None:
        self._inner = inner
        self._fields = Fields(cipher)

    def __getattr__(self, name: str) -> Any:
        """What needs no sealing is the inner storage's."""
        if name not in PASSED_ON:
            raise AttributeError(f"{name}: nobody has said whether encryption may pass it on")
        return getattr(self._inner, name)


def encrypted_storage(inner: Storage, cipher: Cipher) -> Storage:
    """`inner` behind `cipher`. Its methods raise `EncryptionFailed` besides; nothing is stored then."""
    return cast(Storage, EncryptedStorage(inner, cipher))
