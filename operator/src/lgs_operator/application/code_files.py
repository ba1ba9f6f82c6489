"""What is said of a file of code that stands where a manifest or a `langgraph.json` is to be named: the
`langgraph.json` that serves it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from lgs_crds import ManifestError, Problem
from lgs_operator.application.names import NotPython, graphs_in

_OTHERS: Final = (".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".ipynb")
_UNKNOWN: Final = "NAME"


def refuse_code(path: Path) -> None:
    """Raises `ManifestError` for a file of code."""
    suffix = path.suffix.lower()
    if suffix == ".py" and path.is_file():
        raise ManifestError(str(path), (Problem("file", _way_out(path)),))
    if suffix in _OTHERS:
        rule = "is neither a LangGraphService in a YAML file nor a langgraph.json, and graphs are Python here"
        raise ManifestError(str(path), (Problem("file", rule),))


def _way_out(path: Path) -> str:
    try:
        found = graphs_in(path)
    except (NotPython, OSError):
        found = ()
    folder = path.absolute().parent
    beside = " and ".join(name for name in ("langgraph.json", "langgraph.yaml") if (folder / name).is_file())
    if beside:
        return f"is Python code; name what serves it: {beside} is in its folder"
    graph, named = found[0] if found else _UNKNOWN, f", with the graph's name for {_UNKNOWN}"
    content = json.dumps({"dependencies": ["."], "graphs": {"agent": f"./{path.name}:{graph}"}})
    put = f"put this into a langgraph.json beside it{'' if found else named}"
    return f"is Python code; {put}, and name that: {content}"
