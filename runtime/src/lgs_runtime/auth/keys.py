"""The API keys of the service: a request without a valid key is refused.

Keys come from a setting and from a file. The file is read again when it changes, so a mounted Secret can be
rotated without a restart. Only digests are kept, and each request's key is compared with all of them.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from lgs_runtime.errors import ConfigError

SHORTEST = 8
_NAMED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9_.@-]{0,62})=(?!=*$)(.+)$")
log = structlog.get_logger(__name__)


def parse_keys(text: str, where: str) -> Mapping[bytes, str]:
    """The names of the keys by digest. Keys are separated by line ends or commas: `key`, or `name=key`; a
    line that begins with # is a comment. A key without a name is called `key-` plus its position, from 1.
    Raises `ConfigError`, whose message never contains a key."""
    found: dict[bytes, str] = {}
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    entries = [entry.strip() for line in lines for entry in line.split(",") if entry.strip()]
    for place, entry in enumerate(entries, start=1):
        named = _NAMED.match(entry)
        name, key = (named[1], named[2].strip()) if named else (f"key-{place}", entry)
        if len(key) < SHORTEST:
            raise ConfigError(
                f"{where}: key {place} has {len(key)} characters: must have at least {SHORTEST}"
            )
        found[_digest(key)] = name
    return found


@dataclass(slots=True)
class ApiKeys:
    """The keys that are valid now: the `fixed` ones from a setting, the others from `file`."""

    fixed: Mapping[bytes, str] = field(default_factory=dict)
    file: Path | None = None
    _read: Mapping[bytes, str] = field(default_factory=dict)
    _version: Sequence[int] | None = None

    @classmethod
    def open(cls, text: str, file: Path | None) -> ApiKeys | None:
        """The keys that the settings give; None if there are none. Raises `ConfigError`."""
        if not text and file is None:
            return None
        keys = cls(parse_keys(text, "LGS_API_KEYS"), file)
        if file is not None:
            try:
                keys._version, keys._read = _version(file), _parse(file)
            except (OSError, UnicodeDecodeError) as missing:
                raise ConfigError(
                    f"LGS_API_KEYS_FILE: {file}: must be a file that can be read: {type(missing).__name__}"
                ) from missing
        if not keys.fixed and not keys._read:
            where = "LGS_API_KEYS" if file is None else "LGS_API_KEYS_FILE"
            raise ConfigError(f"{where}: no key: must have at least one, or nobody could call")
        return keys

    def name_of(self, key: str) -> str | None:
        """The name of a valid key, else None. Takes the same time for every key."""
        self._reload()
        digest, name = _digest(key), None
        for known in (self.fixed, self._read):
            for stored, its_name in known.items():
                if hmac.compare_digest(stored, digest):
                    name = its_name
        return name

    def _reload(self) -> None:
        """Reads the file again if it has changed. If it can't be read, the keys stay as they are."""
        if self.file is None:
            return
        try:
            version = _version(self.file)
            if version == self._version:
                return
            self._read, self._version = _parse(self.file), version
        except (OSError, UnicodeDecodeError, ConfigError) as wrong:
            log.warning("api_keys.unreadable", file=str(self.file), reason=type(wrong).__name__)
        else:
            log.info("api_keys.read", file=str(self.file), keys=len(self._read))


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _version(file: Path) -> Sequence[int]:
    found = file.stat()
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def _parse(file: Path) -> Mapping[bytes, str]:
    return parse_keys(file.read_text(encoding="utf-8"), "LGS_API_KEYS_FILE")
