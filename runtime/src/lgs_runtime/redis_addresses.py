"""The address of Redis: one server, a set that Sentinel watches over, or a Cluster. Parsed from one URI
without the driver, so that an invalid one can be refused at the start."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

from lgs_runtime.checks import is_torn

SINGLE: Final = ("redis://", "rediss://", "unix://")
SENTINEL: Final = ("redis+sentinel://", "rediss+sentinel://")
CLUSTER: Final = ("redis+cluster://", "rediss+cluster://")
_NUMBER: Final = "must end with the number of a database, as redis://host:6379/0, or with none"
_NO_OPTIONS: Final = (
    "must have no options behind a ? and no #: user and password stand before the nodes, as "
    "redis+sentinel://user:password@host:26379/mymaster"
)
_ENCODED: Final = (
    "must be redis://user:password@host:6379/0, what is special in its user and password percent-encoded"
    " (%2F for /, %23 for #)"
)
PORTS: Final = {SENTINEL: 26379, CLUSTER: 6379}


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """The parts of a URI. `master` is the name by which the sentinels know the set."""

    uri: str = field(repr=False)
    nodes: tuple[tuple[str, int], ...] = ()
    master: str = ""
    database: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.uri.startswith("rediss")

    @property
    def is_cluster(self) -> bool:
        """Whether keys are spread over nodes, so that all keys of a script need the same hash tag."""
        return self.uri.startswith(CLUSTER)

    @property
    def is_sentinel(self) -> bool:
        """Whether sentinels are asked for the server's address."""
        return self.uri.startswith(SENTINEL)


def parse_redis(uri: str) -> RedisAddress:
    """Parses a URI. Raises `ValueError`, which says what the URI must be."""
    if uri.startswith(SINGLE):
        _check_single(uri)
        return RedisAddress(uri)
    if not uri.startswith(SENTINEL + CLUSTER):
        schemes = ", ".join((*SINGLE, "redis+sentinel://"))
        raise ValueError(f"must start with {schemes} or redis+cluster://")
    kind = SENTINEL if uri.startswith(SENTINEL) else CLUSTER
    place = uri.split("://", 1)[1]
    authority, _, path = place.partition("/")
    user, _, hosts = authority.rpartition("@")
    name, has_password, password = user.partition(":")
    if not {"?", "#"}.isdisjoint(hosts + path):
        raise ValueError(_NO_OPTIONS)
    nodes = tuple(_node(text, PORTS[kind]) for text in hosts.split(","))
    master, _, number = path.partition("/")
    if kind is SENTINEL and not master:
        raise ValueError(
            "must name the master that the sentinels know, as redis+sentinel://host:26379/mymaster"
        )
    if kind is CLUSTER and path.strip("/0"):
        raise ValueError("must not name a database: a Redis Cluster has one")
    if not (number or "0").isdecimal():
        raise ValueError(_NUMBER)
    return RedisAddress(
        uri,
        nodes=nodes,
        master=unquote(master) if kind is SENTINEL else "",
        database=int(number or 0) if kind is SENTINEL else 0,
        username=unquote(name) or None,
        password=unquote(password) if has_password else None,
    )


def _check_single(uri: str) -> None:
    """Raises `ValueError` where the driver would refuse a URI in words that may quote the password."""
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        raise ValueError(_ENCODED) from None
    if parts.scheme == "unix":
        return
    if is_torn(parts) or "#" in uri:
        raise ValueError(_ENCODED)
    if not (parts.path.strip("/") or "0").isdecimal():
        raise ValueError(_NUMBER)


def _node(text: str, default: int) -> tuple[str, int]:
    host, colon, port = text.strip().rpartition(":")
    if not colon or port.endswith("]"):
        host, port = text.strip(), str(default)
    host = host.strip("[]")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError("must list its nodes as host:port between commas")
    return host, int(port)
