"""The addresses of a replica's database and Redis, from environment variables."""

from __future__ import annotations

from pathlib import Path

from lgs_runtime.database.addresses import address, masked, shown_pooler, through
from lgs_runtime.errors import ConfigError
from lgs_runtime.redis_addresses import parse_redis
from lgs_runtime.variables import Variables


def database_uris(values: Variables, data_dir: Path) -> tuple[str, str | None]:
    """(URI of the database, direct URI that bypasses its pooler or None). Raises `ConfigError`."""
    uri, direct = _database_uri(values, data_dir), values.text("LGS_DATABASE_DIRECT_URI", "")
    pooler = values.text("LGS_DATABASE_POOLER", "")
    for name, shown in (
        ("LGS_DATABASE_DIRECT_URI", direct and masked(direct)),
        ("LGS_DATABASE_POOLER", pooler and shown_pooler(pooler)),
    ):
        if shown and uri.startswith("sqlite"):
            raise ConfigError(f"{name}: {shown}: must be absent without a PostgreSQL in DATABASE_URI")
    if direct and address(direct, "LGS_DATABASE_DIRECT_URI").kind != "postgres":
        raise ConfigError(
            f"LGS_DATABASE_DIRECT_URI: {masked(direct)}: must start with postgres:// or postgresql://"
        )
    if not pooler:
        return uri, direct or None
    if direct:
        raise ConfigError(
            f"LGS_DATABASE_POOLER: {shown_pooler(pooler)}: must be absent with LGS_DATABASE_DIRECT_URI: with "
            "a pooler of its own DATABASE_URI is the direct way"
        )
    return through(uri, pooler), uri


def _database_uri(values: Variables, data_dir: Path) -> str:
    name = values.set_of("DATABASE_URI", "POSTGRES_URI_CUSTOM", "POSTGRES_URI")
    uri = values.text(name, "")
    if not uri:
        return f"sqlite:///{data_dir / 'lgs.db'}"
    return address(uri, name).uri


def redis_uri(values: Variables) -> str | None:
    """URI of Redis; None if there is none. Raises `ConfigError`."""
    name = values.set_of("REDIS_URI_CUSTOM", "REDIS_URI")
    uri = values.text(name, "")
    if not uri:
        return None
    if values.flag("REDIS_CLUSTER", False) and uri.startswith(("redis://", "rediss://")):
        uri = uri.replace("://", "+cluster://", 1)
    try:
        parse_redis(uri)
    except ValueError as wrong:
        raise ConfigError(f"{name}: {masked(uri)}: {wrong}") from None
    return uri
