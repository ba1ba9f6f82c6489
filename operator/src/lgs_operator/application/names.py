"""What a Python file defines and imports, read from its syntax: nothing of it is run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


class NotPython(Exception):
    """A file that can't be read as Python; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Names:
    """The names at the top of a module. `open` where it may have others: `import *`, `__getattr__`."""

    defined: frozenset[str]
    open: bool


def names_in(path: Path) -> Names:
    """Raises `NotPython`, `OSError`."""
    defined: set[str] = set()
    is_open = False
    for statement in _statements(_parsed(path).body):
        for name in _bound(statement):
            is_open |= name in ("*", "__getattr__")
            defined.add(name)
    return Names(frozenset(defined), is_open)


def imports_in(path: Path) -> frozenset[str]:
    """The first parts of all that is imported anywhere in the file, but for relative imports. Raises
    `NotPython`.
    """
    found: set[str] = set()
    for node in ast.walk(_parsed(path)):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return frozenset(found)


def _parsed(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), str(path))
    except SyntaxError as wrong:
        raise NotPython(f"line {wrong.lineno}: {wrong.msg}") from None
    except ValueError as wrong:
        raise NotPython(str(wrong)) from None


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run at import, those in `if`, `try`, `with` and loops too."""
    for statement in body:
        yield statement
        for part in ("body", "orelse", "finalbody"):
            if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from _statements(getattr(statement, part, None) or [])
        for handler in getattr(statement, "handlers", ()):
            yield from _statements(handler.body)
        for case in getattr(statement, "cases", ()):
            yield from _statements(case.body)


def _bound(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
        return
    if isinstance(statement, ast.Import):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in statement.names)
        return
    if isinstance(statement, ast.ImportFrom):
        yield from (alias.asname or alias.name for alias in statement.names)
        return
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
