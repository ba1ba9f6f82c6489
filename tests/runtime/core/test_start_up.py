"""What a replica does not load until it is needed: imports are most of the time that a start takes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


def loaded_by(code: str) -> set[str]:
    """The modules that a new process has loaded after `code`."""
    report = "import json, sys; print(json.dumps(sorted(sys.modules)))"
    command = [sys.executable, "-c", f"{code}; {report}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_the_server_loads_no_driver_before_it_knows_which_it_needs() -> None:
    loaded = loaded_by("import lgs_runtime.server")

    assert "langgraph.pregel" in loaded
    assert not loaded & {"asyncpg", "psycopg", "psycopg_pool", "aiosqlite", "redis"}


@pytest.mark.parametrize(
    ("opening", "needed", "others"),
    [
        ("sqlite:///nowhere/lgs.db", "aiosqlite", {"asyncpg", "psycopg"}),
        ("postgresql://nobody@nowhere/none", "psycopg", {"aiosqlite"}),
    ],
)
def test_a_database_loads_its_own_drivers_alone(opening: str, needed: str, others: set[str]) -> None:
    code = (
        "from lgs_runtime.checkpoint.savers import open_checkpointer; "
        "from lgs_runtime.store.backends import open_store"
    )
    loaded = loaded_by(f"{code}; open_checkpointer({opening!r}); open_store({opening!r})")

    assert needed in loaded
    assert not loaded & (others | {"redis"})


def test_wrong_settings_are_told_before_graphs_and_http_are_loaded() -> None:
    loaded = loaded_by("import lgs_runtime.cli")

    assert "lgs_runtime.settings" in loaded
    assert not loaded & {"langgraph", "langchain_core", "pydantic", "fastapi", "uvicorn", "yaml"}
