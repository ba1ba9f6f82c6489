"""Loads the `langgraph_sdk.Encryption` object that the configuration names, and checks that it can be used.

A wrong setting is a `ConfigError` at start: so nothing is stored that could not be read again, or that should
have been sealed and was not.
"""

from __future__ import annotations

from pathlib import Path

import structlog
from langgraph_sdk import Encryption

from lgs_runtime.encryption.cipher import Cipher
from lgs_runtime.errors import ConfigError
from lgs_runtime.graphs.importing import sdk_object

log = structlog.get_logger(__name__)


def load_cipher(path: str, source: Path, import_paths: tuple[Path, ...]) -> Cipher:
    """A cipher with the handlers of the object at `path:variable`. Raises `ConfigError`."""
    where = f"encryption.path: {path}"
    found = sdk_object(path, Encryption, source, import_paths, where)
    check_handlers(found, where)
    cipher = Cipher(found, where)
    if not cipher.seals_blobs:
        log.warning("encryption.checkpoints_in_the_clear", reason="no @encryption.encrypt.blob", path=path)
    if not cipher.seals_json:
        log.warning("encryption.records_in_the_clear", reason="no @encryption.encrypt.json", path=path)
    return cipher


def check_handlers(encryption: Encryption, where: str) -> None:
    """Raises `ConfigError` if a handler lacks its counterpart, or if there are none at all."""
    pairs = {
        "blob": (encryption._blob_encryptor, encryption._blob_decryptor),
        "json": (encryption._json_encryptor, encryption._json_decryptor),
    }
    for kind, (seal, open_) in pairs.items():
        if seal is not None and open_ is None:
            raise ConfigError(
                f"{where}: encrypt.{kind} without decrypt.{kind}: both must be registered, "
                "or what is stored could never be read again"
            )
        if seal is None and open_ is not None:
            raise ConfigError(
                f"{where}: decrypt.{kind} without encrypt.{kind}: both must be registered, "
                "or what was to be encrypted would be stored in the clear"
            )
    if not any(seal for seal, _ in pairs.values()):
        raise ConfigError(
            f"{where}: no handlers: at least encrypt.blob and decrypt.blob, "
            "or encrypt.json and decrypt.json must be registered"
        )
