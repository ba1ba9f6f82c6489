"""What docs/checkpointer.md shows works as it stands."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver

from lgs_runtime import checkpoint

PAGE = Path(__file__).parents[3] / "docs" / "checkpointer.md"
PACKAGES = re.findall(r'^pip install ("[^#\n]*)', PAGE.read_text(), re.MULTILINE)
"""What each line of the page installs beside the runtime, whose own packages it leaves out."""
ALONE = """
import asyncio, json, sys
from importlib.abc import MetaPathFinder

away = frozenset(json.loads(sys.argv[1]))


class NotInstalled(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in away:
            raise ModuleNotFoundError(name, name=name)


sys.meta_path.insert(0, NotInstalled())
names = {"__name__": "example"}
exec(sys.argv[2], names)
assert asyncio.run(names["main"](sys.argv[3])) == {"text": "HELLO"}
ours = {name for name in sys.modules if name.startswith("lgs_runtime.")}
print(json.dumps(sorted({name.split(".")[1] for name in ours})))
"""


def example() -> str:
    return str(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[0])


def named(requirements: Iterable[str]) -> set[str]:
    """The distributions of requirements, as one spelling has them."""
    found = (re.match(r"[\w.-]+", each.strip()) for each in requirements)
    return {re.sub(r"[-_.]+", "-", each[0]).lower() for each in found if each}


def carried(names: set[str]) -> set[str]:
    """These distributions and all that they require, without extras."""
    found: set[str] = set()
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        found.add(name)
        try:
            required = metadata.requires(name) or []
        except metadata.PackageNotFoundError:  # of another platform
            continue
        waiting |= named(each for each in required if "extra ==" not in each) - found
    return found


def modules(names: set[str]) -> set[str]:
    """The packages that they bring. Those of LangGraph share one, and are told apart further down."""
    owners = metadata.packages_distributions()
    found = {module for module, of in owners.items() if module != "langgraph" and named(of) <= names}
    kinds = {name.rpartition("-")[2] for name in names if name.startswith("langgraph-checkpoint-")}
    return found | {f"langgraph.checkpoint.{kind}" for kind in kinds}


@pytest.mark.parametrize("name", ["FastPostgresSaver", "FastSqliteSaver"])
def test_a_saver_runs_with_the_packages_that_the_page_names_alone(
    name: str, postgres_uri: str, tmp_path: Path
) -> None:
    is_postgres = name == "FastPostgresSaver"
    installed = named(" ".join(PACKAGES[: 1 if is_postgres else 2]).replace('"', " ").split())
    away = named(metadata.requires("lgs-runtime") or ()) - carried(installed)
    uri = postgres_uri if is_postgres else str(tmp_path / "checkpoints.db")
    code = example().replace("FastPostgresSaver", name)

    command = [sys.executable, "-c", ALONE, json.dumps(sorted(modules(away))), code, uri]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert {"fastapi", "redis", "psycopg", "uvicorn", "prometheus_client"} <= modules(away)
    assert not {"storage", "store", "worker", "runs", "threads", "api"} & set(json.loads(done.stdout))


@pytest.mark.parametrize("name", ["FastPostgresSaver", "FastSqliteSaver"])
def test_a_name_that_was_changed_is_still_there(name: str) -> None:
    saver = getattr(checkpoint, name)

    assert saver.put_behind is saver.submit_put
    assert saver.put_writes_behind is saver.submit_put_writes


async def test_the_example_of_the_docs_runs(postgres_uri: str) -> None:
    names: dict[str, Any] = {"__name__": "example"}

    exec(example(), names)

    assert await names["main"](postgres_uri) == {"text": "HELLO"}


@pytest.mark.parametrize("name", ["FastPostgresSaver", "FastSqliteSaver"])
def test_the_savers_have_the_names_that_programs_import_them_by(name: str) -> None:
    assert name in PAGE.read_text() and name in checkpoint.__all__
    assert issubclass(getattr(checkpoint, name), BaseCheckpointSaver)


def test_a_name_that_is_none_of_the_savers_is_missed_by_its_name() -> None:
    with pytest.raises(AttributeError, match=r"lgs_runtime\.checkpoint.*SlowSaver"):
        checkpoint.SlowSaver  # noqa: B018 - asking for it is what fails
