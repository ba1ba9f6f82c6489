"""The first check of a database: whether it can be used, and whether a pooler stands before it.

If the database isn't there yet, the caller waits for it. If it answers and can't be used, for whatever
reason, that is a `ConfigError` with its message: waiting would change nothing.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from uuid import uuid4

import asyncpg  # type: ignore[import-untyped]
import structlog

from lgs_runtime.database.addresses import masked
from lgs_runtime.database.postgres_connections import CONNECT_SECONDS, Access, PlainConnection, translated
from lgs_runtime.errors import ConfigError, StorageUnavailable

OLDEST: Final = 13
"""The oldest supported major version of PostgreSQL."""

_PROBE: Final = """
SELECT pg_backend_pid() AS pid, current_setting('transaction_read_only') AS read_only,
       current_setting('server_version') AS version,
       current_setting('server_version_num')::int / 10000 AS major
"""
_IS_PREPARED: Final = "SELECT EXISTS (SELECT FROM pg_prepared_statements WHERE name = $1)"
_REFUSED_BY_POOLER: Final = re.compile(
    r"authentication failed|does not exist|no such (database|user)|permission denied|not allowed|pg_hba"
    r"|unsupported startup parameter|SSL required|wrong password"
)
"""Messages of a pooler that waiting does not change. A pooler has one code (08P01) for all its errors."""
log = structlog.get_logger(__name__)


async def probe(uri: str, name: str = "DATABASE_URI") -> Access:
    """Connects once and returns how to talk to the database. Raises `ConfigError` (`name: value: rule`) for a
    database that can't be used, and `StorageUnavailable` when nobody answers."""
    with translated(), refused(uri, name):
        connection = await asyncpg.connect(
            uri,
            timeout=CONNECT_SECONDS,
            command_timeout=CONNECT_SECONDS,
            connection_class=PlainConnection,
            statement_cache_size=0,
        )
        try:
            async with connection.transaction():
                seen = await connection.fetchrow(_PROBE)
                # A pooler gives its clients cancel keys of its own, with a process id that is not the
                # server's.
                pooled = seen["pid"] != connection.get_server_pid()
                names = not pooled or await _keeps_names(connection)
            await connection.close(timeout=CONNECT_SECONDS)
        except BaseException:
            connection.terminate()
            raise
    shown = f"{name}: {masked(uri)}"
    if seen["major"] < OLDEST:
        raise ConfigError(f"{shown}: PostgreSQL {seen['version']}: must be {OLDEST} or later")
    if seen["read_only"] == "on":
        raise ConfigError(
            f"{shown}: it takes no writes (a standby, or default_transaction_read_only): must be a primary; "
            "of several hosts ?target_session_attrs=read-write finds it"
        )
    return Access(uri, pooled, names)


def log_access(access: Access, direct: str | None) -> None:
    """Logs how the database is accessed, unless directly."""
    if access.pooled:
        log.info(
            "database.pooler",
            statements="prepared by name" if access.names else "prepared in their transaction",
            signals="received at LGS_DATABASE_DIRECT_URI" if direct else "polled every second",
        )


@contextmanager
def refused(uri: str, name: str = "DATABASE_URI") -> Iterator[None]:
    """Turns errors from a database or pooler that answers, and that waiting does not change, into a
    `ConfigError`, those that were translated already too."""
    try:
        try:
            yield
        except StorageUnavailable as gone:
            if not isinstance(gone.__cause__, asyncpg.InsufficientPrivilegeError):
                raise
            raise gone.__cause__ from None
    except asyncpg.ProtocolViolationError as error:
        if not _REFUSED_BY_POOLER.search(str(error)):
            raise
        raise ConfigError(f"{name}: {masked(uri)}: the pooler refused it: {error}") from error
    except (
        asyncpg.InvalidAuthorizationSpecificationError,
        asyncpg.InvalidCatalogNameError,
        asyncpg.InsufficientPrivilegeError,
        ssl.SSLCertVerificationError,
    ) as error:
        raise ConfigError(f"{name}: {masked(uri)}: the server refused it: {error}") from error
    except (asyncpg.ClientConfigurationError, ValueError) as error:
        raise ConfigError(f"{name}: {masked(uri)}: must be a URI PostgreSQL understands: {error}") from error


async def _keeps_names(connection: asyncpg.Connection) -> bool:
    """Whether the pooler has prepared statements wherever they are executed. It then gives them its own
    names, which they have at the server."""
    name = f"lgs_{uuid4().hex}"
    # The variable keeps a reference during the search: the driver closes statements without one.
    held = await connection.prepare("SELECT 1", name=name)
    is_there = await connection.fetchval(_IS_PREPARED, held.get_name())
    if is_there:
        await connection.execute(f"DEALLOCATE {name}")
    return not is_there
