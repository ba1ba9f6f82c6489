"""Checks `spec.cache.warmup` if the code is at hand: whether its file exists and each line can be read, and
whether the named graphs exist.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from lgs_crds import Problem, Spec
from lgs_crds.model.cache import WarmupInput
from lgs_crds.rules.cache import ASSISTANT_ID, WHICH_GRAPH
from lgs_operator.application.target import CONFIG

MOST_REPORTED: Final = 10
_FILE: Final = "spec.cache.warmup.file"


def check_warmup(spec: Spec, folder: Path, graphs: Sequence[str]) -> tuple[list[Problem], list[Problem]]:
    """Problems, and what can't be known here. `folder` is the folder of the code; `graphs` are the known
    graphs, from the manifest or from the `langgraph.json` beside the code."""
    warmup = spec.cache.warmup
    if warmup is None:
        return [], []
    problems: list[Problem] = []
    for at, given in enumerate(warmup.inputs):
        problems += _of_input(given, f"spec.cache.warmup.inputs[{at}]", graphs)
    if warmup.file is None:
        return problems, []
    path = folder / warmup.file
    if path.is_file():
        return [*problems, *_of_file(path, warmup.file, graphs)][:MOST_REPORTED], []
    missing = Problem(_FILE, f"there is no such file in {folder}", warmup.file)
    # The code may exist only in an image or in a ConfigMap.
    here = bool(spec.source and spec.source.folder) or (folder / CONFIG).is_file()
    return ([*problems, missing], []) if here else (problems, [missing])


def _of_file(path: Path, name: str, graphs: Sequence[str]) -> Iterator[Problem]:
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except (OSError, ValueError) as error:
        yield Problem(_FILE, f"must be a file that can be read as UTF-8: {error}", name)
        return
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield from _of_line(line, f"{name}:{number}", graphs)


def _of_line(line: str, where: str, graphs: Sequence[str]) -> Iterator[Problem]:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError) as error:
        yield Problem(where, f"must be JSON: {error}", line.strip())
        return
    if not isinstance(content, dict):
        yield Problem(where, "must be an object with input", content)
        return
    try:
        # A line's input may be anything that a graph takes; in a manifest it is an object.
        given = WarmupInput.model_validate(content | ({} if content.get("input") is None else {"input": {}}))
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            yield Problem(".".join(map(str, (where, *detail["loc"]))), detail["msg"])
        return
    yield from _of_input(given, where, graphs)


def _of_input(given: WarmupInput, where: str, graphs: Sequence[str]) -> Iterator[Problem]:
    name = given.assistant
    if name is None and len(graphs) > 1:
        yield Problem(f"{where}.assistant", WHICH_GRAPH)
    if name is not None and graphs and name not in graphs and not re.fullmatch(ASSISTANT_ID, name):
        rule = f"must be a graph, or the id of an assistant; the graphs are: {', '.join(graphs)}"
        yield Problem(f"{where}.assistant", rule, name)
