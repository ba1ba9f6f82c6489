"""Puts the cipher of the settings in front of each part that keeps something; without a cipher the parts stay
as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.store.base import BaseStore

from lgs_runtime.cache.shared import SharedCache
from lgs_runtime.encryption.broker import EncryptedBroker
from lgs_runtime.encryption.cipher import Cipher
from lgs_runtime.encryption.entries import EncryptedEntries
from lgs_runtime.encryption.loading import load_cipher
from lgs_runtime.encryption.saver import EncryptedSaver
from lgs_runtime.encryption.storage import encrypted_storage
from lgs_runtime.encryption.store import EncryptedStore
from lgs_runtime.errors import ConfigError
from lgs_runtime.settings import Settings
from lgs_runtime.storage.contract import Storage
from lgs_runtime.streams.contract import StreamBroker
from lgs_runtime.streams.memory import MemoryBroker


def open_cipher(settings: Settings) -> Cipher | None:
    """A cipher with the handlers that the settings name; None if they name none. Raises `ConfigError`."""
    if settings.encryption_path is None:
        return None
    cipher = load_cipher(settings.encryption_path, settings.source, settings.import_paths)
    if cipher.seals_json and settings.store.index is not None:
        raise ConfigError(
            "store.index: set: must be absent with encrypt.json: the vectors of a search by meaning are made "
            "of the text, and would reveal what it says"
        )
    return cipher


def sealed_storage(storage: Storage, cipher: Cipher | None) -> Storage:
    """The storage behind the cipher."""
    return storage if cipher is None else encrypted_storage(storage, cipher)


def sealed_saver(saver: BaseCheckpointSaver[Any], cipher: Cipher | None) -> BaseCheckpointSaver[Any]:
    """The checkpointer behind the cipher."""
    if cipher is None:
        return saver
    return EncryptedSaver(saver, cipher, keeps_versions=getattr(saver, "keeps_versions", False))


def sealed_store(store: BaseStore, cipher: Cipher | None) -> BaseStore:
    """The store behind the cipher."""
    return store if cipher is None or not cipher.seals_json else EncryptedStore(store, cipher)


def sealing_entries(cipher: Cipher | None) -> Callable[[SharedCache], SharedCache]:
    """Puts the cipher in front of the shared entries of the response cache."""

    def before(entries: SharedCache) -> SharedCache:
        return entries if cipher is None else EncryptedEntries(entries, cipher)

    return before


def sealed_broker(broker: StreamBroker, cipher: Cipher | None, failed: Callable[[], None]) -> StreamBroker:
    """The broker behind the cipher. A broker that keeps events only in memory needs none."""
    if cipher is None or isinstance(broker, MemoryBroker):
        return broker
    return EncryptedBroker(broker, cipher, failed)
