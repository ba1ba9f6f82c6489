"""What keeps the checkpoints of threads has connections of its own, each for one question."""

from __future__ import annotations

import asyncpg  # type: ignore[import-untyped]
import pytest

from lgs_runtime.checkpoint import upkeep_postgres
from lgs_runtime.checkpoint.postgres.saver import FastPostgresSaver
from lgs_runtime.checkpoint.upkeep_postgres import PostgresUpkeep
from lgs_runtime.database.postgres_connections import Access, connect
from lgs_runtime.errors import StorageUnavailable


@pytest.mark.parametrize("late", [1, 2])
async def test_a_connection_that_came_too_late_is_tried_once_more(
    postgres_uri: str, late: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a replica stood still for longer than a connection may take."""
    left = late

    async def connecting(access: Access) -> asyncpg.Connection:
        nonlocal left
        if left:
            left -= 1
            raise StorageUnavailable("the database can't be reached: no answer in time")
        return await connect(access)

    async with FastPostgresSaver.from_conn_string(postgres_uri):
        monkeypatch.setattr(upkeep_postgres, "connect", connecting)
        asked = PostgresUpkeep(postgres_uri).namespaces("nobody's")
        if late == 1:
            assert await asked == []
        else:
            with pytest.raises(StorageUnavailable, match="no answer in time"):
                await asked
