"""docs/api.md: its table of what is served has every operation, and none that there is not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from starlette.routing import Route

from lgs_runtime.api.app import ROUTES

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8")
TABLE = PAGE.split("## What is served\n")[1].split("\n## ")[0]
METHODS = "GET|POST|PUT|PATCH|DELETE"
BESIDE = {("GET", "/openapi.json"), ("GET", "/docs/oauth2-redirect")}
"""FastAPI's own, and what only the page `/docs` asks."""
Operation = tuple[str, str]


def plain(path: str) -> str:
    """A path without the names of its parameters."""
    return re.sub(r"\{[^}]*\}", "{}", path.split("?", maxsplit=1)[0]).rstrip("/") or "/"


def served() -> set[Operation]:
    routes = [route for _, router in ROUTES for route in router.routes if isinstance(route, Route)]
    every = {(method, plain(route.path)) for route in routes for method in route.methods or ()}
    return {operation for operation in every if operation[0] != "HEAD"} - BESIDE


def told(cell: str) -> Iterator[tuple[Operation, str]]:
    """The operations of a row, with the last whole path before each: methods before a path are all of that
    path, and `…` stands for what goes before it."""
    methods: list[str] = []
    whole = ""
    for method, path in re.findall(rf"`({METHODS})(?: ([^`]+))?`", cell):
        methods.append(method)
        if path:
            whole = whole if path.startswith("…") else plain(path)
            yield from (((each, plain(path)), whole) for each in methods)
            methods = []


def meant(operation: Operation, whole: str, there: set[Operation]) -> set[Operation]:
    """What a row names: with `…` what goes on from its whole path, or else from that one's parent."""
    method, path = operation
    if not path.startswith("…"):
        return {operation}
    ending = path.removeprefix("…")
    for start in (whole, whole.rpartition("/")[0]):
        if found := {
            each
            for each in there
            if each[0] == method and each[1].startswith(start) and each[1].endswith(ending)
        }:
            return found
    return set()


def test_the_table_has_every_operation_that_is_served_and_no_other() -> None:
    there = served()
    rows = [line.split(" | ")[1] for line in TABLE.splitlines() if line.startswith("| ")][1:]

    found = [(operation, meant(operation, whole, there)) for row in rows for operation, whole in told(row)]

    assert len(rows) > 10
    assert [operation for operation, those in found if not those] == [], "the page has what is not served"
    assert set().union(*(those for _, those in found)) - BESIDE == there, (
        'each operation stands in a row of "What is served" of docs/api.md'
    )
