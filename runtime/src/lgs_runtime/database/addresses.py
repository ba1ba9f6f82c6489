"""The meaning of a `DATABASE_URI`: which kind of database, where, and how to show it without its password."""

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
_ENCODED: Final = (
    f"{_RULE}, what is special in its user and password percent-encoded (%2F for /, %23 for #, %25 for %, "
    "%40 for @)"
)
_POSTGRES: Final = ("postgres", "postgresql")
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*")
_HOST: Final = re.compile(r"(\[[^\[\]]+\]|[^\[\]:]*)(:[0-9]*)?")
_POOLER: Final = re.compile(r"[A-Za-z0-9._-]+(:[0-9]{1,5})?")
_OPEN_OPTIONS: Final = re.compile(
    r"application_name|channel_binding|connect_timeout|db|dbname|gssencmode|host|hostaddr|keepalives|"
    r"load_balance_hosts|port|protocol|require_auth|service|socket_connect_timeout|socket_timeout|"
    r"ssl_cert_reqs|sslcert|sslcrl|sslkey|sslmode|sslrootcert|target_session_attrs|tcp_user_timeout|user"
)
"""Options of a query that are shown. Of any other option not even the name is shown: an `&` in a password
turns the rest of the password into an option."""
_SECRET_OPTIONS: Final = frozenset({"options", "password", "ssl_password", "sslpassword"})


@dataclass(frozen=True, slots=True)
class Address:
    """A database: the kind, and the file (`sqlite`) or the URI (`postgres`)."""

    kind: Literal["sqlite", "postgres"]
    uri: str
    path: Path | None = None


def address(uri: str, name: str = "DATABASE_URI") -> Address:
    """Reads a `DATABASE_URI`. Raises `ConfigError` with the name, the value and the rule."""
    parts = _parts_of(uri)
    if parts is not None and parts.scheme in _POSTGRES and _is_read_alike(uri, parts):
        return Address("postgres", uri)
    if parts is not None and parts.scheme == "sqlite" and not parts.netloc and uri.startswith("sqlite:///"):
        path = unquote(uri.removeprefix("sqlite:///").split("?", 1)[0])
        if not path or path == ":memory:" or path.endswith("/"):
            raise ConfigError(f"{name}: {masked(uri)}: must name a file, as in sqlite:///.lgs/queue.db")
        return Address("sqlite", uri, Path(path).absolute())
    rule = _ENCODED if uri.startswith(("postgres://", "postgresql://")) else _RULE
    raise ConfigError(f"{name}: {masked(uri)}: {rule}")


def masked(uri: str) -> str:
    """The URI with `***` for its password, fit to be shown. If the text can't be read as a URI, nothing of it
    is shown: any part may be the password."""
    parts = _parts_of(uri)
    if parts is None or "@" in parts.query:
        return NOT_SHOWN
    userinfo, at, hosts = parts.netloc.rpartition("@")
    if "=" in f"{userinfo.partition(':')[0]}{hosts}{parts.path}":
        return NOT_SHOWN  # options, written in another way
    query = "&".join(map(_shown_option, parts.query.split("&"))) if parts.query else ""
    return (
        f"{parts.scheme}://{_shown_user(userinfo, parts.scheme)}{at}{hosts}{parts.path}{query and '?'}{query}"
    )


def _shown_user(userinfo: str, scheme: str) -> str:
    """The user part, fit to be shown. Outside of PostgreSQL a user without a password may be a token; with an
    encoded colon, user and password are one text."""
    user, colon, _ = userinfo.partition(":")
    if ":" in unquote(user) or not (colon or scheme in _POSTGRES):
        return userinfo and "***"
    return f"{user}{':***' if colon else ''}"


def _shown_option(option: str) -> str:
    name = option.partition("=")[0]
    if _OPEN_OPTIONS.fullmatch(name):
        return option
    return f"{name}=***" if name in _SECRET_OPTIONS else "***"


def _parts_of(uri: str) -> SplitResult | None:
    """The parts of a URI; None if it is no URI, or if its password breaks it: what looks like a port may then
    be no port."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    hosts = parts.netloc.rpartition("@")[2].split(",")
    if is_torn(parts) or "#" in uri or "://" not in uri or not _SCHEME.fullmatch(parts.scheme):
        return None
    return parts if all(_is_host(each) for each in hosts) else None


def _is_host(text: str) -> bool:
    found = _HOST.fullmatch(text)
    port = (found[2] or ":")[1:] if found else "x"
    return not port or (port.isdecimal() and int(port) < 65536)


def _is_read_alike(uri: str, parts: SplitResult) -> bool:
    """Whether libpq can read the URI, and finds the same hosts in it. It does not when a character of the
    password should have been encoded; libpq's messages may then quote the password, even as the name of a
    host."""
    import psycopg.conninfo  # noqa: PLC0415 - slow, and not needed with SQLite

    try:
        read = psycopg.conninfo.conninfo_to_dict(uri)
    except (psycopg.Error, ValueError):
        return False
    specs = (_HOST.fullmatch(each) for each in parts.netloc.rpartition("@")[2].split(","))
    hosts = [unquote(found[1].strip("[]")) for found in specs if found]
    if parts.netloc.count("@") > 1 or (len(hosts) > 1 and "" in hosts):
        return False
    is_elsewhere = any(each.startswith("host") for each in parts.query.split("&"))
    return is_elsewhere or read.get("host", "") == ",".join(hosts)


def shown_pooler(pooler: str) -> str:
    """A host and its port as they are; if it is a URI, which it must not be, without the password."""
    return pooler if _POOLER.fullmatch(pooler) else masked(pooler)


def through(uri: str, pooler: str) -> str:
    """The URI of the same database and user at `pooler`: a host, with or without a port. Raises
    `ConfigError`."""
    if not _POOLER.fullmatch(pooler):
        raise ConfigError(
            f"LGS_DATABASE_POOLER: {shown_pooler(pooler)}: must be host or host:port, such as pooler:6432"
        )
    parts = urlsplit(uri)
    user, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user}{at}{pooler}"))
