"""What a `DATABASE_URI` means: which storage, where, and how it is shown without its password."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from lgs_runtime.checks import is_torn
from lgs_runtime.errors import ConfigError

NOT_SHOWN: Final = "(not shown)"
_RULE: Final = "must be sqlite:///path or postgresql://user:password@host:5432/database"
_ENCODED: Final = f"{_RULE}, what is special in its user and password percent-encoded (%2F for /, %23 for #)"
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*")
_SECRET: Final = re.compile(r"((?:ssl)?password=)[^&#]*")


@dataclass(frozen=True, slots=True)
class Address:
    """A database: the kind, and the file (`sqlite`) or the URI (`postgres`)."""

    kind: Literal["sqlite", "postgres"]
    uri: str
    path: Path | None = None


def address(uri: str, name: str = "DATABASE_URI") -> Address:
    """Reads a `DATABASE_URI`. Raises `ConfigError` with the name, the value and the rule."""
    parts = _parts_of(uri)
    if parts is not None and parts.scheme in ("postgres", "postgresql"):
        return Address("postgres", uri)
    if parts is not None and parts.scheme == "sqlite" and not parts.netloc and uri.startswith("sqlite:///"):
        path = unquote(uri.removeprefix("sqlite:///").split("?", 1)[0])
        if not path or path == ":memory:" or path.endswith("/"):
            raise ConfigError(f"{name}: {uri}: must name a file, as in sqlite:///.lgs/queue.db")
        return Address("sqlite", uri, Path(path))
    rule = _ENCODED if parts is None and uri.startswith(("postgres://", "postgresql://")) else _RULE
    raise ConfigError(f"{name}: {masked(uri)}: {rule}")


def masked(uri: str) -> str:
    """The URI with `***` for its password, fit to be shown. Of what can't be read as one nothing is shown:
    any part of it may be the password."""
    parts = _parts_of(uri)
    if parts is None:
        return NOT_SHOWN
    scheme, _, rest = uri.partition("://")
    userinfo, at, _ = parts.netloc.rpartition("@")
    user, colon, _ = userinfo.partition(":")
    if at:
        rest = f"{user}{':***' if colon else ''}{rest[len(userinfo) :]}"
    return _SECRET.sub(r"\1***", f"{scheme}://{rest}")


def _parts_of(uri: str) -> SplitResult | None:
    """The parts of a URI; None for what is none, or is torn by its password, in which case what looks like a
    port may be none, too."""
    try:
        parts = urlsplit(uri)
        # Of several hosts each may have its port, which is for the driver to read.
        _ = parts.port if "," not in parts.netloc else None
    except ValueError:
        return None
    return None if is_torn(parts) or "://" not in uri or not _SCHEME.fullmatch(parts.scheme) else parts


def shown_pooler(pooler: str) -> str:
    """A host and its port as they are; of a URI, which it must not be, without the password."""
    return masked(pooler) if "@" in pooler else pooler


def through(uri: str, pooler: str) -> str:
    """The URI of the same database, as the same user, at `pooler`: a host, with a port or without."""
    if not re.fullmatch(r"[A-Za-z0-9._-]+(:[0-9]{1,5})?", pooler):
        raise ConfigError(
            f"LGS_DATABASE_POOLER: {shown_pooler(pooler)}: must be host or host:port, such as pooler:6432"
        )
    parts = urlsplit(uri)
    user, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user}{at}{pooler}"))
