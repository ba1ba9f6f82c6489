"""Where backups are kept: a folder (a volume) or a bucket behind the S3 protocol. One contract, two kinds.

A dump counts from the moment its record is there: that is written last and removed first, so what was cut is
no backup. A dump without a record goes when it is a day old."""

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
    """The destination can't be read or written; says where and why."""


class Destination(Protocol):
    """The backups of one service at one place. Every method raises `DestinationFailed`."""

    def records(self) -> Sequence[Record]:
        """Of all whole backups, whatever order."""

    def put(self, dump: Path, record: Record) -> None:
        """Takes a dump over, and says that it is there. The file may be moved."""

    def get(self, record: Record, scratch: Path) -> Path:
        """A file with the dump; one that had to be fetched lies in `scratch`."""

    def remove(self, name: str) -> None:
        """Removes a backup, whole or not."""

    def abandoned(self, now: datetime) -> Sequence[str]:
        """Names of dumps that never became a backup, and won't any more."""


class Folder:
    """A folder of a mounted volume. The dump to be put must lie on the same volume."""

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
            # A full disk has room for another try then.
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
    """Raises `DestinationFailed` for what is no record of a backup."""
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
