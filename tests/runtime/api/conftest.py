"""Real replicas for the API's tests, over SQLite and over Postgres with Redis, in this process."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk.client import LangGraphClient

from lgs_runtime.settings import Settings
from support.caches import listening
from support.postgres import fresh_database
from support.unhurried import OF_REDIS, patience


def _load(name: str, file: str) -> None:
    """Makes a file beside this one importable under a name that no other folder of tests uses."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(file))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


_load("api_graphs", "graphs.py")
_load("api_limits", "limits.py")
_load("api_outputs", "outputs.py")
_load("api_recorded", "recorded.py")
_load("api_auth", "identities.py")
_load("api_webapps", "webapps.py")
_load("api_contexts", "contexts.py")
_load("api_configured", "configured.py")
_load("api_inside", "inside.py")
_load("api_cached", "cached.py")
_load("api_answering", "answering.py")
_load("api_replicas", "replicas.py")
_load("api_priorities", "priorities.py")
_load("api_secrets", "secrets.py")
_load("api_persistence", "persistence.py")
_load("api_foreign_failures", "foreign_failures.py")
_load("api_dependency", "dependency.py")
_load("api_releases", "releases.py")
_load("api_traced", "traced.py")
_load("api_apart", "apart.py")
_load("api_asking", "asking.py")
_load("api_refusing", "refusing.py")
_load("api_tasks", "tasks.py")

from api_answering import caching  # noqa: E402
from api_dependency import guarded as guarded_by_circuits  # noqa: E402
from api_replicas import Replica, open_replica, settings_of  # noqa: E402

NewService = Callable[[str, Callable[[Settings], Settings]], AbstractAsyncContextManager[Replica]]


@contextmanager
def database(kind: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[dict[str, Any]]:
    """The settings of a database of this kind, empty at first."""
    if kind == "sqlite":
        yield {"database_uri": f"sqlite:///{folder}/lgs.db"}
        return
    with fresh_database(request.getfixturevalue("postgres_service")) as uri:
        yield {"database_uri": uri, "redis_uri": request.getfixturevalue("redis_service")}


@pytest.fixture(autouse=True)
def patient_replicas() -> Iterator[None]:
    """Replicas that give up on Redis only where it hangs."""
    with patience(OF_REDIS):
        yield


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def kind(request: pytest.FixtureRequest) -> str:
    """The database of the service under test."""
    return str(request.param)


@pytest.fixture(scope="session")
def settings(
    kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """The settings of a replica over each database, on a port that is free."""
    folder = tmp_path_factory.mktemp("api")
    with database(kind, request, folder) as uris:
        yield settings_of(folder, uris)


@pytest.fixture
def alone(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """The settings of a service of the test's own, with nothing in it."""
    with database(kind, request, tmp_path) as uris:
        yield settings_of(tmp_path, uris)


@pytest.fixture(scope="session")
async def replica(settings: Settings) -> AsyncIterator[Replica]:
    """One replica for all tests of a database; each test makes threads of its own."""
    async with open_replica(settings) as opened:
        yield opened


@pytest.fixture(scope="session")
async def other(settings: Settings, replica: Replica) -> AsyncIterator[Replica]:
    """A second replica on the same database. It takes no runs, so that they are known to be the first's."""
    async with open_replica(replace(settings, replica_id="b", concurrency=1)) as opened:
        await opened.services.worker.drain(0)
        yield opened


@pytest.fixture(scope="session")
def service(
    kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> NewService:
    """Opens a replica by a name, with settings of its own and a database of its own."""

    @asynccontextmanager
    async def opened(name: str, changed: Callable[[Settings], Settings]) -> AsyncIterator[Replica]:
        folder = tmp_path_factory.mktemp(name)
        with database(kind, request, folder) as uris:
            async with open_replica(changed(settings_of(folder, uris))) as found:
                yield found

    return opened


@pytest.fixture(scope="session")
async def guarded(service: NewService) -> AsyncIterator[Replica]:
    """A service with private conversations."""
    async with service("guarded", partial(replace, auth_path="api_auth:owners")) as opened:
        yield opened


@pytest.fixture(scope="session")
async def circuits(service: NewService) -> AsyncIterator[Replica]:
    """A replica with circuit breakers around its graphs."""
    async with service("circuits", guarded_by_circuits) as opened:
        yield opened


@pytest.fixture(scope="session")
async def answering(service: NewService) -> AsyncIterator[Replica]:
    """A replica that caches the answers of a graph."""
    async with service("answering", caching) as opened:
        if opened.services.settings.redis_uri is not None:
            await listening(opened.services.cache)
        yield opened


@pytest.fixture
def client(replica: Replica) -> LangGraphClient:
    """The stock SDK's client."""
    return replica.client


@pytest.fixture
def url(replica: Replica) -> str:
    """Where the replica listens."""
    return replica.url
