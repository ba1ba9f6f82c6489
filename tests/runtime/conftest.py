"""One contract, two databases: every test that asks for `database_uri`, itself or by a fixture, runs over
SQLite and over Postgres.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from support.leases import end_lease
from support.unhurried import OF_SERVICES, patience


@pytest.fixture(scope="session", autouse=True)
def patient_services() -> Iterator[None]:
    """Services in this process wait for what is merely slow."""
    with patience(OF_SERVICES):
        yield


@pytest.fixture(params=["sqlite", "postgres"])
def database_uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URI of a new empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/lgs.db"
    uri: str = request.getfixturevalue("postgres_uri")
    return uri


@pytest.fixture(scope="module")
def unhurried() -> Iterator[None]:
    """Replicas of this process that do not take the Redis of their streams for gone because the machine
    stands still. For tests that do not take it away."""
    with patience():
        yield


@pytest.fixture
def lease_runs_out(database_uri: str) -> Callable[[str], None]:
    """Lets the lease of a replica run out now: a short one could run out before the story has come there."""
    return partial(end_lease, database_uri)
