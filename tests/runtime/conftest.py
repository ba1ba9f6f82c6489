"""One contract, two databases: every test that asks for `database_uri`, itself or by a fixture, runs over
SQLite and over Postgres.
"""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(params=["sqlite", "postgres"])
def database_uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URI of a new empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/lgs.db"
    uri: str = request.getfixturevalue("postgres_uri")
    return uri
