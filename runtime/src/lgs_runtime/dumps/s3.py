"""Backups in a bucket behind the S3 protocol: Amazon's, or any server that has it.

URLs are in path style, which every server supports. Each part is sent with its SHA-256, which the server
compares with what arrived; at the end the size of the whole is compared.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from lgs_runtime.dumps.destination import (
    ABANDONED,
    DUMP,
    RECORD,
    DestinationFailed,
    read_record,
)
from lgs_runtime.dumps.record import NAME, Record
from lgs_runtime.errors import ConfigError

PART: Final = 8 * 1024 * 1024
MOST_PARTS: Final = 9000
"""A server takes 10,000 parts: a larger dump has larger parts."""
AT_ONCE: Final = 4
_PATIENCE: Final = timedelta(minutes=3)
Answer = TypeVar("Answer")


class Bucket:
    """The objects below a prefix of a bucket."""

    def __init__(self, store: Any, where: str) -> None:
        self._store = store
        self._where = where

    @classmethod
    def open(cls, url: str, env: Mapping[str, str]) -> Bucket:
        """Opens `url`, s3://bucket/prefix; the rest comes from AWS_ENDPOINT_URL, AWS_REGION,
        AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Raises `ConfigError`."""
        try:
            from obstore.store import S3Store  # noqa: PLC0415 - an extra: only who keeps backups in S3 needs it
        except ImportError:
            raise ConfigError(
                f"{url}: backups in S3 need lgs-runtime[backup], which this image does not have"
            ) from None
        parts = urlsplit(url)
        options: dict[str, Any] = {"region": env.get("AWS_REGION") or "us-east-1"}
        endpoint = env.get("AWS_ENDPOINT_URL")
        if endpoint:
            options |= {
                "endpoint": endpoint,
                "client_options": {"allow_http": endpoint.startswith("http://")},
            }
        store = S3Store(
            parts.netloc,
            prefix=parts.path.strip("/"),
            access_key_id=_given(env, "AWS_ACCESS_KEY_ID"),
            secret_access_key=_given(env, "AWS_SECRET_ACCESS_KEY"),
            virtual_hosted_style_request=False,
            checksum_algorithm="SHA256",
            retry_config={"max_retries": 6, "retry_timeout": _PATIENCE},
            **options,
        )
        return cls(store, f"{url} at {endpoint}" if endpoint else url)

    def records(self) -> Sequence[Record]:
        def read(path: str) -> bytes:
            return bytes(self._store.get(path).bytes())

        found = [path for path, _ in self._objects(RECORD)]
        return [read_record(self._try(partial(read, path)), path) for path in found]

    def put(self, dump: Path, record: Record) -> None:
        size = dump.stat().st_size
        path = f"{record.name}{DUMP}"
        chunk = max(PART, -(-size // MOST_PARTS))
        self._try(lambda: self._store.put(path, dump, chunk_size=chunk, max_concurrency=AT_ONCE))
        arrived = self._try(lambda: self._store.head(path))["size"]
        if arrived != size:
            raise DestinationFailed(f"{self._where}: {path} has {arrived} bytes there, and {size} here")
        self._try(
            lambda: self._store.put(f"{record.name}{RECORD}", record.model_dump_json(indent=1).encode())
        )

    def get(self, record: Record, scratch: Path) -> Path:
        target = scratch / f"{record.name}{DUMP}"

        def fetched() -> None:
            with target.open("wb") as file:
                for chunk in self._store.get(f"{record.name}{DUMP}").stream():
                    file.write(chunk)

        self._try(fetched)
        return target

    def remove(self, name: str) -> None:
        for suffix in (RECORD, DUMP):
            # S3 does not fail for an object that does not exist.
            self._try(partial(self._store.delete, f"{name}{suffix}"))

    def abandoned(self, now: datetime) -> Sequence[str]:
        whole = {PurePosixPath(path).stem for path, _ in self._objects(RECORD)}
        return [
            PurePosixPath(path).stem
            for path, changed in self._objects(DUMP)
            if PurePosixPath(path).stem not in whole and now - changed > ABANDONED
        ]

    def _objects(self, suffix: str) -> Sequence[tuple[str, datetime]]:
        pages = self._try(lambda: list(self._store.list()))
        found = [(str(each["path"]), each["last_modified"]) for page in pages for each in page]
        return [
            (path, changed)
            for path, changed in found
            if path.endswith(suffix) and NAME.fullmatch(path.removesuffix(suffix))
        ]

    def _try(self, work: Callable[[], Answer]) -> Answer:
        from obstore.exceptions import BaseError  # noqa: PLC0415 - see `open`

        try:
            return work()
        except FileNotFoundError as error:
            raise DestinationFailed(
                f"{self._where}: there is no such object or bucket: {_short(error)}"
            ) from error
        except (BaseError, OSError, ValueError) as error:
            raise DestinationFailed(f"{self._where}: {_short(error)}") from error


def _given(env: Mapping[str, str], name: str) -> str:
    value = env.get(name, "").strip()
    if not value:
        raise ConfigError(
            f"{name}: not set: must be that of a user who may list, read, write and delete there"
        )
    return value


def _short(error: Exception) -> str:
    """The server's message, or the first line, without the driver's list of its own fields."""
    words = str(error)
    said = [
        match[1] for name in ("Code", "Message") if (match := re.search(rf"<{name}>(.*?)</{name}>", words))
    ]
    return ": ".join(said) or words.partition("\n")[0][:400] or type(error).__name__
