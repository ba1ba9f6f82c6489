"""The real services that a test may ask for: PostgreSQL and Redis, started once a run, clean for each test.

`LGS_TEST_POSTGRES_URI` and `LGS_TEST_REDIS_URI` name running ones to use instead; database 1 of that Redis is
emptied.
"""

from __future__ import annotations

import ast
import functools
import gc
import inspect
import os
import signal
import ssl
from collections.abc import Callable, Generator, Iterator
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

import httpx
import pytest
import redis.asyncio
import redis.asyncio.connection
import redis.connection
import structlog
from hypothesis import HealthCheck, settings
from websockets.asyncio.client import connect

from support.ports import PATIENCE_SECONDS
from support.postgres import PostgresServer, fresh_database
from support.redis import RedisServer, flush
from support.servers import running

P = ParamSpec("P")
T = TypeVar("T")

settings.register_profile("exploring", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("suite", settings.get_profile("exploring"), derandomize=True)
settings.load_profile("suite")
"""The same examples each time (`--hypothesis-profile exploring`: others); how long one takes says nothing on
a busy machine."""


def pytest_configure() -> None:
    """A run that is terminated stops its services, as one does that is interrupted by hand."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Looks for no garbage while ten thousand tests are collected, which takes a third of the time of that,
    nor in what was collected while they run, which takes half a second each time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def undisturbed(parse: Callable[P, T]) -> Callable[P, T]:
    """`ast.parse` without a collection of garbage: CPython 3.11 can't build a syntax tree while a finaliser
    builds another (`SystemError: AST constructor recursion depth mismatch`), as that of a failed future does
    whose traceback is logged. Fixed in 3.13."""

    @functools.wraps(parse)
    def parse_undisturbed(*args: P.args, **named: P.kwargs) -> T:
        collects = gc.isenabled()
        gc.disable()
        try:
            return parse(*args, **named)
        finally:
            if collects:
                gc.enable()

    return parse_undisturbed


ast.parse = undisturbed(ast.parse)


@functools.cache
def _context(trust_env: bool, file: str | None) -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=trust_env)


def shared_context(verify: Any = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:
    """What httpx makes for each client anew, though few talk TLS: to read the system's certificates takes
    30 ms."""
    if verify is True and cert is None:
        return _context(trust_env, os.environ.get("SSL_CERT_FILE"))
    return httpx.create_ssl_context(verify, cert, trust_env)


httpx._transports.default.create_ssl_context = shared_context


def wait_by_default(function: Callable[..., Any], *names: str) -> None:
    """Changes the defaults of these parameters of a function, which are seconds."""
    function = inspect.unwrap(function)
    parameters = inspect.signature(function).parameters.values()
    if function.__kwdefaults__:
        function.__kwdefaults__.update(
            {name: PATIENCE_SECONDS for name in names if name in function.__kwdefaults__}
        )
    function.__defaults__ = tuple(
        PATIENCE_SECONDS if each.name in names else each.default
        for each in parameters
        if each.kind is each.POSITIONAL_OR_KEYWORD and each.default is not each.empty
    )


# Of clients that name no limit: five or ten seconds pass where a machine stands still.
for _part in ("connect", "read", "write", "pool"):
    setattr(httpx._config.DEFAULT_TIMEOUT_CONFIG, _part, PATIENCE_SECONDS)
(connect.__init__.__kwdefaults__ or {}).update(open_timeout=PATIENCE_SECONDS, ping_timeout=PATIENCE_SECONDS)
for _made in (
    redis.asyncio.Redis,
    redis.Redis,
    redis.asyncio.connection.AbstractConnection,
    redis.connection.AbstractConnection,
):
    wait_by_default(_made.__init__, "socket_timeout", "socket_connect_timeout")


@pytest.fixture(scope="session", autouse=True)
def plain_logs() -> Iterator[None]:
    """Logs as in a container: the coloured tracebacks of a terminal take seconds each."""
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def postgres_service() -> Iterator[str]:
    """URI of the PostgreSQL server of this run, with the right to create databases."""
    given = os.environ.get("LGS_TEST_POSTGRES_URI")
    if given:
        yield given
        return
    with running(PostgresServer()) as server:
        yield server.uri


@pytest.fixture
def postgres_uri(postgres_service: str) -> Iterator[str]:
    """URI of a new empty database, gone after the test."""
    with fresh_database(postgres_service) as uri:
        yield uri


@pytest.fixture
def postgres_server() -> Iterator[PostgresServer]:
    """A running server of this test's own, to be stopped and started at will."""
    with running(PostgresServer()) as server:
        yield server


@pytest.fixture(scope="session")
def redis_service() -> Iterator[str]:
    """URI of the Redis of this run."""
    given = os.environ.get("LGS_TEST_REDIS_URI")
    if given:
        yield given
        return
    with running(RedisServer()) as server:
        yield server.uri


@pytest.fixture
def redis_uri(redis_service: str) -> str:
    """URI of an emptied database of it, apart from that of services which live for the whole session."""
    uri = urlsplit(redis_service)._replace(path="/1").geturl()
    flush(uri)
    return uri


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A running Redis of this test's own, to be stopped and started at will."""
    with running(RedisServer()) as server:
        yield server
