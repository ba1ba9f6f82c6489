"""The message when there is only code where a manifest or a `langgraph.json` should be, or when a file of
code is named: it shows the `langgraph.json` that would serve the code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from lgs_crds import ManifestError, Problem
from lgs_operator.application.names import NotPython, graphs_in

_OTHERS: Final = (".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".ipynb")
_UNKNOWN: Final = "NAME"
_MOST_FILES: Final = 200
"""How many files are searched for a graph, at most."""


def refuse_code(path: Path) -> None:
    """Raises `ManifestError` for a file of code."""
    suffix = path.suffix.lower()
    if suffix == ".py" and path.is_file():
        raise ManifestError(str(path), (Problem("file", _way_out(path)),))
    if suffix in _OTHERS:
        rule = "is neither a LangGraphService in a YAML file nor a langgraph.json, and graphs are Python here"
        raise ManifestError(str(path), (Problem("file", rule),))


def for_code_of(folder: Path) -> str:
    """Words to follow a `;`, with the `langgraph.json` that would serve the first graph
    found in the folder."""
    for path in islice(_code_of(folder), _MOST_FILES):
        if found := _graphs_of(path):
            location = path.relative_to(folder).as_posix()
            return f"this langgraph.json would serve {location}: {_content(location, found[0])}"
    content = _content("graph.py", "graph")
    return f"the smallest is {content}, with your file and the variable that holds the graph"


def _code_of(folder: Path) -> Iterator[Path]:
    yield from sorted(folder.glob("*.py"))
    yield from sorted((folder / "src").glob("**/*.py"))


def _graphs_of(path: Path) -> tuple[str, ...]:
    try:
        return graphs_in(path)
    except (NotPython, OSError):
        return ()


def _content(location: str, graph: str) -> str:
    return json.dumps({"dependencies": ["."], "graphs": {"agent": f"./{location}:{graph}"}})


def _way_out(path: Path) -> str:
    found = _graphs_of(path)
    folder = path.absolute().parent
    beside = " and ".join(name for name in ("langgraph.json", "langgraph.yaml") if (folder / name).is_file())
    if beside:
        return f"is Python code; name what serves it: {beside} is in its folder"
    graph, named = found[0] if found else _UNKNOWN, f", with the graph's name for {_UNKNOWN}"
    content = _content(path.name, graph)
    put = f"put this into a langgraph.json beside it{'' if found else named}"
    return f"is Python code; {put}, and name that: {content}"
