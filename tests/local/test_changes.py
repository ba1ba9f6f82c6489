"""Which files `lgs up` takes for the service's code: all code of its folder, as LangGraph's development
server does, for nobody knows before it runs what a graph will import or read."""

from __future__ import annotations

from pathlib import Path

import pytest
from watchfiles import Change

from lgs_operator.local.changes import CodeFilter

FOLDER = Path("/srv/shop")


@pytest.mark.parametrize(
    ("file", "counts"),
    [
        ("graph.py", True),
        ("agents/reply.py", True),
        ("talk.py", True),
        ("prompts/reply.md", True),
        (".env", True),
        ("service.yaml", True),
        (".lgs/support/logs/a.err", False),
        (".lgs/support/steps.json", False),
        (".venv/lib/python3.12/site-packages/any.py", False),
        ("__pycache__/graph.cpython-312.pyc", False),
        ("answers.jsonl", False),
        ("notes.ipynb", False),
        ("client.sh", False),
        (".git/config.json", False),
    ],
)
def test_a_change_of_code_and_configuration_counts_and_of_what_runs_write_does_not(
    file: str, *, counts: bool
) -> None:
    assert CodeFilter(FOLDER / "service.yaml", FOLDER)(Change.modified, str(FOLDER / file)) is counts


def test_the_manifest_counts_wherever_it_is_and_whatever_it_is_called() -> None:
    manifest = Path("/srv/manifests/support")

    assert CodeFilter(manifest, FOLDER)(Change.modified, str(manifest))


def test_code_beside_the_source_folder_is_not_the_services() -> None:
    counts = CodeFilter(FOLDER / "service.yaml", FOLDER / "graphs")

    names = ("graphs/graph.py", "client.py", "graphs-of-others/graph.py", "README.md")
    assert [counts(Change.modified, str(FOLDER / name)) for name in names] == [True, False, False, False]
