"""Reads what a Python file defines and imports from its syntax, without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


class NotPython(Exception):
    """A file that can't be read as Python; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Names:
    """The top-level names of a module. `open`: it may have others, by `import *` or `__getattr__`."""

    defined: frozenset[str]
    open: bool


def names_in(path: Path) -> Names:
    """The names of a module. Raises `NotPython`, `OSError`."""
    defined: set[str] = set()
    is_open = False
    for statement in _statements(_parsed(path).body):
        for name in _bound(statement):
            is_open |= name in ("*", "__getattr__")
            defined.add(name)
    return Names(frozenset(defined), is_open)


def imports_in(path: Path) -> frozenset[str]:
    """The top-level modules that are imported anywhere in the file, without relative imports. Raises
    `NotPython`, `OSError`.
    """
    found: set[str] = set()
    for node in ast.walk(_parsed(path)):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return frozenset(found)


def graphs_in(path: Path) -> tuple[str, ...]:
    """The top-level names of a module that look like graphs, the last in the file first: compiled graphs,
    agents from `create_…agent`, and functions of the functional API. Raises `NotPython`, `OSError`."""
    found: list[str] = []
    for statement in _statements(_parsed(path).body):
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            if any(_called(decorator) == "entrypoint" for decorator in statement.decorator_list):
                found.append(statement.name)
        elif isinstance(statement, ast.Assign | ast.AnnAssign) and _makes_a_graph(statement.value):
            found.extend(_bound(statement))
    return tuple(reversed(found))


def _makes_a_graph(value: ast.expr | None) -> bool:
    name = _called(value)
    return name == "compile" or (name.startswith("create_") and name.endswith("agent"))


def _called(value: ast.expr | None) -> str:
    """The last part of the name of the called function; empty if the value is no call. For a `with_config` on
    a call (`create_agent(…).with_config(…)`) it is the name of the inner call."""
    if not isinstance(value, ast.Call):
        return ""
    called = value.func
    if isinstance(called, ast.Attribute):
        return _called(called.value) if called.attr == "with_config" else called.attr
    return called.id if isinstance(called, ast.Name) else ""


def _parsed(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), str(path))
    except SyntaxError as wrong:
        raise NotPython(f"line {wrong.lineno}: {wrong.msg}") from None
    except ValueError as wrong:
        raise NotPython(str(wrong)) from None


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run at import, including those in `if`, `try`, `with`, `match` and loops."""
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
