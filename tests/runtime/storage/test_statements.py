"""The SQL of a storage stands in one place: `statements/` of its database, in modules named alike."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import lgs_runtime.storage

STORAGE = Path(lgs_runtime.storage.__file__).parent
SQL = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH|CREATE|ALTER|DROP|LOCK|PRAGMA|BEGIN)\b[\s\S]*\s")
DATABASES = ("postgres", "sqlite")


def texts_of(module: Path) -> list[str]:
    """What a module has between quotes, the fixed parts of its f-strings too, without its documentation."""
    tree = ast.parse(module.read_text("utf-8"))
    documentation = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in documentation
    ]


def sql_of(module: Path) -> list[str]:
    return [text for text in texts_of(module) if SQL.match(text)]


@pytest.mark.parametrize("database", DATABASES)
def test_a_statement_is_found_in_the_folder_of_statements(database: str) -> None:
    modules = [path for path in (STORAGE / database).rglob("*.py") if path.parent.name != "migrations"]

    with_sql = {path for path in modules if sql_of(path)}

    assert with_sql == {path for path in with_sql if path.parent.name == "statements"}
    assert len(with_sql) > 8


def test_what_both_databases_share_has_no_statement() -> None:
    shared = [*STORAGE.glob("*.py"), *(STORAGE / "contract").glob("*.py")]

    assert [path.name for path in shared if sql_of(path)] == []


def test_the_modules_of_statements_are_named_alike_for_both_databases() -> None:
    postgres, sqlite = (
        {path.name for path in (STORAGE / of / "statements").glob("*.py")} for of in DATABASES
    )

    assert postgres == sqlite
