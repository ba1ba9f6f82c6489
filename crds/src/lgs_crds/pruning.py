"""Checks the rules between fields of a spec in which single fields are wrong: the wrong fields are removed,
and only problems that do not come from the removal are reported."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from lgs_crds.errors import Problem
from lgs_crds.model.service import Spec
from lgs_crds.rules import broken
from lgs_crds.rules.replicas import NEEDS_POSTGRES
from lgs_crds.rules.source import NEEDS_CODE

Location = tuple[int | str, ...]
_DEEPEST = 8
# The paths that a rule reads besides the fields at and below its own path.
_READS = {NEEDS_POSTGRES: ("spec.persistence", "spec.scaling.mode"), NEEDS_CODE: ("spec.source",)}


def broken_among(spec: Any, details: Sequence[ErrorDetails], *, on_cluster: bool) -> tuple[Problem, ...]:
    """The problems between the fields that are right. `details` are pydantic's errors for
    the whole manifest."""
    if not isinstance(spec, dict):
        return ()
    wrong = [_taken_out(detail) for detail in details if detail["loc"][:1] == ("spec",)]
    if any(len(location) < 2 for location in wrong):
        return ()
    rest = {"spec": copy.deepcopy(spec)}
    model = _pruned(rest, wrong)
    if model is None:
        return ()
    gone = [".".join(map(str, location)) for location in wrong]
    found = broken(model, on_cluster=on_cluster)
    return tuple(problem for problem in found if not _comes_from(problem, gone))


def _pruned(rest: dict[str, Any], wrong: list[Location]) -> Spec | None:
    """The spec without the fields in `wrong`, and without what can't exist without them: an alert
    whose metric is wrong is removed as a whole. All that is removed is added to `wrong`. None if no
    valid spec is left."""
    last: Sequence[Location] = wrong
    for _ in range(_DEEPEST):
        for location in sorted(last, key=_order, reverse=True):
            _remove(rest, location)
        try:
            return Spec.model_validate(rest["spec"])
        except ValidationError as error:
            last = [("spec", *_taken_out(detail)) for detail in error.errors()]
            if any(len(location) < 2 for location in last):
                return None
            wrong += last
    return None


def location_of(detail: ErrorDetails) -> Location:
    """The location of an error, without the branch of `int | str` that pydantic tried,
    which it also names."""
    return tuple(part for part in detail["loc"] if not _is_union_branch(part))


def _is_union_branch(part: int | str) -> bool:
    return isinstance(part, str) and (part in {"int", "str"} or "constrained-" in part)


def _taken_out(detail: ErrorDetails) -> Location:
    """The location of the wrong field; for a missing field, that of the object without it."""
    location = location_of(detail)
    return location[:-1] if detail["type"] == "missing" else location


def _order(location: Location) -> tuple[tuple[bool, int, str], ...]:
    """A sort key by which entries are removed from the end of a list, so that those before
    keep their places."""
    return tuple(
        (isinstance(part, int), part if isinstance(part, int) else 0, str(part)) for part in location
    )


def _remove(document: Any, location: Location) -> None:
    for part in location[:-1]:
        try:
            document = document[part]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(document, dict):
        document.pop(location[-1], None)
    elif isinstance(document, list) and isinstance(location[-1], int) and location[-1] < len(document):
        del document[location[-1]]


def _comes_from(problem: Problem, gone: Sequence[str]) -> bool:
    """Whether a rule may be broken only because something was removed."""
    reads = (problem.path, *_READS.get(problem.rule, ()))
    return any(path == field or path.startswith(f"{field}.") for field in reads for path in gone)
