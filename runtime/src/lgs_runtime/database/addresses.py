"""What a `DATABASE_URI` means: which storage, where, and how it is shown without its password."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit, urlunsplit

from lgs_runtime.errors import ConfigError

_RULE = "must be sqlite:///path or postgresql://user:password@host:5432/database"


@dataclass(frozen=True, slots=True)
class Address:
    """A database: the kind, and the file (`sqlite`) or the URI (`postgres`)."""

    kind: Literal["sqlite", "postgres"]
    uri: str
    path: Path | None = None


def address(uri: str) -> Address:
    """Reads a `DATABASE_URI`. Raises `ConfigError` with the name, the value and the rule."""
    try:
        parts = urlsplit(uri)
        # Of several hosts each may have its port, which is for the driver to read.
        _ = parts.port if "," not in parts.netloc else None
    except ValueError as error:
        raise ConfigError(f"DATABASE_URI: {masked(uri)}: {_RULE}: {error}") from error
    if parts.scheme in ("postgres", "postgresql"):
        return Address("postgres", uri)
    if parts.scheme == "sqlite" and not parts.netloc and uri.startswith("sqlite:///"):
        path = unquote(uri.removeprefix("sqlite:///").split("?", 1)[0])
        if not path or path == ":memory:" or path.endswith("/"):
            raise ConfigError(f"DATABASE_URI: {uri}: must name a file, as in sqlite:///.lgs/queue.db")
        return Address("sqlite", uri, Path(path))
    raise ConfigError(f"DATABASE_URI: {masked(uri)}: {_RULE}")


def masked(uri: str) -> str:
    """The URI with `***` for its password, fit to be shown."""
    uri = re.sub(r"((?:ssl)?password=)[^&]*", r"\1***", uri)
    scheme, separator, rest = uri.partition("://")
    userinfo, at, host = rest.rpartition("@")
    if not (separator and at):
        return uri
    user, colon, _ = userinfo.partition(":")
    return f"{scheme}://{user}{':***' if colon else ''}@{host}"


def through(uri: str, pooler: str) -> str:
    """The URI of the same database, as the same user, at `pooler`: a host, with a port or without."""
    if not re.fullmatch(r"[A-Za-z0-9._-]+(:[0-9]{1,5})?", pooler):
        raise ConfigError(f"LGS_DATABASE_POOLER: {pooler}: must be host or host:port, such as pooler:6432")
    parts = urlsplit(uri)
    user, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user}{at}{pooler}"))
