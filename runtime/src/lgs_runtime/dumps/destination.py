"""Where backups are stored: a folder (a volume) or a bucket behind the S3 protocol, with one contract.

A dump counts from the moment when its record exists. The record is written last and removed first, so an
interrupted backup is none. A dump without a record is removed when it is a day old.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from pydantic import ValidationError

from lgs_runtime.dumps.record import NAME, Record

DUMP: Final = ".dump"
RECORD: Final = ".json"
ABANDONED: Final = timedelta(days=1)


class DestinationFailed(Exception):
    """The destination can't be read or written; the message says where and why."""


class Destination(Protocol):
    """The backups of one service at one place. Every method raises `DestinationFailed`."""

    def records(self) -> Sequence[Record]:
        """The records of all complete backups, in any order."""

    def put(self, dump: Path, record: Record) -> None:
        """Stores a dump, and then its record. The file may be moved."""

    def get(self, record: Record, scratch: Path) -> Path:
        """A file with the dump; if it had to be fetched, it is in `scratch`."""

    def remove(self, name: str) -> None:
        """Removes a backup, complete or not."""

    def abandoned(self, now: datetime) -> Sequence[str]:
        """Names of dumps that never became a backup, and no longer will."""


class Folder:
    """A folder on a mounted volume. The dump to be stored must be on the same volume."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def records(self) -> Sequence[Record]:
        return [read_record(path.read_bytes(), str(path)) for path in self._files(RECORD)]

    def put(self, dump: Path, record: Record) -> None:
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            _synced(dump)
            dump.replace(self._path / f"{record.name}{DUMP}")
            part = self._path / f".{record.name}{RECORD}"
            part.write_text(record.model_dump_json(indent=1), "utf-8")
            _synced(part)
            part.replace(self._path / f"{record.name}{RECORD}")
            _synced(self._path)
        except OSError as error:
            # Removing the parts leaves room on a full disk for another try.
            for left in self._path.glob(f"*{record.name}*"):
                left.unlink(missing_ok=True)
            raise DestinationFailed(f"{self._path}: {error.strerror}") from error

    def get(self, record: Record, scratch: Path) -> Path:
        path = self._path / f"{record.name}{DUMP}"
        if not path.exists():
            raise DestinationFailed(f"{path}: the record of this backup is there and its dump is not")
        return path

    def remove(self, name: str) -> None:
        try:
            for suffix in (RECORD, DUMP):
                (self._path / f"{name}{suffix}").unlink(missing_ok=True)
        except OSError as error:
            raise DestinationFailed(f"{self._path}: {error.strerror}") from error

    def abandoned(self, now: datetime) -> Sequence[str]:
        whole = {path.stem for path in self._files(RECORD)}
        return [
            path.stem
            for path in self._files(DUMP)
            if path.stem not in whole and now - datetime.fromtimestamp(path.stat().st_mtime, UTC) > ABANDONED
        ]

    def _files(self, suffix: str) -> Sequence[Path]:
        try:
            return [path for path in self._path.glob(f"*{suffix}") if NAME.fullmatch(path.stem)]
        except OSError as error:
            raise DestinationFailed(f"{self._path}: {error.strerror}") from error


def read_record(content: bytes, where: str) -> Record:
    """Parses a record. Raises `DestinationFailed` for what is no record of a backup."""
    try:
        return Record.model_validate_json(content)
    except ValidationError as error:
        raise DestinationFailed(
            f"{where}: is not the record of a backup: {error.errors()[0]['msg']}"
        ) from error


def digest_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _synced(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
