"""Reads a configuration file as a mapping: JSON, or YAML by its suffix. What can't be read is
reported with its line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lgs_crds import ManifestError, Problem
from lgs_crds.unique_keys import UniqueKeyLoader, repeated_in_json
from lgs_operator.application.code_files import for_code_of, refuse_code


def document(path: Path) -> Mapping[str, Any]:
    """The content of a file. Raises `ManifestError`."""
    refuse_code(path)
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise _refused(path, _unread(path, error)) from None
    except UnicodeDecodeError as error:
        raise _refused(path, Problem("file", f"is not UTF-8: {error.reason}")) from None
    content = _yaml(path, text) if path.suffix in (".yaml", ".yml") else _json(path, text)
    if not isinstance(content, dict):
        raise _refused(path, Problem("file", "must be an object with a key `graphs`", type(content).__name__))
    return content


def _unread(path: Path, error: OSError) -> Problem:
    if isinstance(error, FileNotFoundError) and path.name == "langgraph.json" and path.parent.is_dir():
        return Problem("file", f"there is none; {for_code_of(path.parent)}")
    return Problem("file", "must be one that can be read", error.strerror or str(error))


def _json(path: Path, text: str) -> Any:
    try:
        content = json.loads(text)
        json.dumps(content, ensure_ascii=False).encode()
    except json.JSONDecodeError as wrong:
        rule = f"{wrong.msg} (column {wrong.colno})"
        raise _refused(path, Problem("JSON", rule, line=wrong.lineno)) from None
    except (RecursionError, ValueError) as wrong:
        # Too many levels or digits, or a lone surrogate, which is valid JSON but can't be printed.
        rule = str(wrong).encode("ascii", "backslashreplace").decode()
        raise _refused(path, Problem("JSON", f"can't be read: {rule}")) from None
    if (repeated := repeated_in_json(text)) is not None:
        raise _refused(path, Problem("JSON", repeated[0], line=repeated[1]))
    return content


def _yaml(path: Path, text: str) -> Any:
    try:
        return yaml.load(text, UniqueKeyLoader)
    except yaml.MarkedYAMLError as wrong:
        line = wrong.problem_mark.line + 1 if wrong.problem_mark else None
        raise _refused(path, Problem("YAML", wrong.problem or "can't be read", line=line)) from None
    except (yaml.YAMLError, RecursionError, ValueError) as wrong:
        raise _refused(path, Problem("YAML", str(wrong))) from None


def _refused(path: Path, problem: Problem) -> ManifestError:
    return ManifestError(str(path), (problem,))
