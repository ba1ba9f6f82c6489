"""A rule between fields, and the rule of several sections that exactly one of some fields is set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lgs_crds.errors import Problem
from lgs_crds.model.service import Spec

Check = Callable[[Spec], Problem | None]


@dataclass(frozen=True)
class Rule:
    """A rule. `at` is the path under `spec` of the object that CEL sees as `self`; `cel` is the
    rule and `message` its message, both as CEL expressions, or None if the rule is checked only in
    Python by `check`."""

    at: str
    cel: str | None
    message: str | None
    check: Check | None = None
    cluster_only: bool = False


def exactly_one(path: str, given: list[str], names: tuple[str, ...]) -> Problem | None:
    """The problem if `given` is not exactly one of `names`; else None."""
    if len(given) == 1:
        return None
    return Problem(path, f"must have exactly one of {', '.join(names)}", " ".join(given) or "none of them")


def exactly_one_rule(path: str, names: tuple[str, ...], check: Check) -> Rule:
    """The rule that the object at `path` has exactly one of the fields `names`."""
    # only parts of known length: the API server refuses a message whose cost it can't estimate
    given = " + ".join(f"(has(self.{name}) ? ' {name}' : '')" for name in names)
    return Rule(
        path,
        f"{_count(names)} == 1",
        f"'spec.{path}:' + ({_count(names)} == 0 ? ' none of them' : {given}) + "
        f"': must have exactly one of {', '.join(names)}'",
        check,
    )


def _count(names: tuple[str, ...]) -> str:
    return " + ".join(f"(has(self.{name}) ? 1 : 0)" for name in names)
