"""The application in `desk/`, served as it is: a process of `lgs-runtime serve` for each database, and the
stub of a model that its agents talk to.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from support.application import ServedApplication
from support.model_stub.server import model_stub, pointing_at
from support.postgres import fresh_database

CONFIG = Path(__file__).parent / "desk" / "langgraph.json"
INSTALLED = str(CONFIG.parent / "src")  # importable, as an installer leaves a package of a src layout


@pytest.fixture(scope="session")
def stub() -> Iterator[str]:
    """The address of the model that is none."""
    with model_stub() as address:
        yield address


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def address(
    stub: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Where the application is served."""
    folder = tmp_path_factory.mktemp("apps")
    if request.param == "sqlite":
        with served(stub, folder, {"DATABASE_URI": f"sqlite:///{folder}/lgs.db"}) as url:
            yield url
        return
    with fresh_database(request.getfixturevalue("postgres_service")) as uri:
        variables = {"DATABASE_URI": uri, "REDIS_URI": request.getfixturevalue("redis_service")}
        if not asyncio.run(_has_vectors(uri)):
            variables |= _without_index(folder)
        with served(stub, folder, variables) as url:
            yield url


def served(stub: str, folder: Path, databases: dict[str, str]) -> ServedApplication:
    """The application on these databases, with the stub for a model."""
    return ServedApplication(CONFIG, folder, {**pointing_at(stub), "PYTHONPATH": INSTALLED, **databases})


async def _has_vectors(uri: str) -> bool:
    """Whether this PostgreSQL could search by meaning."""
    connection = await asyncpg.connect(uri)
    try:
        return bool(await connection.fetchval("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'"))
    finally:
        await connection.close()


def _without_index(folder: Path) -> dict[str, str]:
    """The variables of the same application without `store`, which can't be had on such a server."""
    section = json.loads(CONFIG.read_text())
    del section["store"]
    lesser = folder / "langgraph.json"
    lesser.write_text(json.dumps(section))
    return {"LGS_CONFIG": str(lesser), "LGS_SOURCE": str(CONFIG.parent)}


@pytest.fixture
async def client(address: str) -> AsyncIterator[LangGraphClient]:
    """The stock client of a caller whom the application knows."""
    async with get_client(url=address, headers={"authorization": "Bearer ann"}) as client:
        yield client
