"""Turns a document into the model: `parse` a mapping, `load` a YAML file.

Both raise `ManifestError` with every problem, each naming field, value and rule. Neither fills in a default
that is not in `model/`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lgs_crds.errors import ABSENT, ManifestError, Problem
from lgs_crds.model.service import KIND, LangGraphService
from lgs_crds.pruning import broken_among, location_of
from lgs_crds.rules import broken
from lgs_crds.texts import RULES
from lgs_crds.unique_keys import UniqueKeyLoader
from lgs_crds.weight import RULE as TOO_LARGE
from lgs_crds.weight import is_too_large

MOST_LEVELS = 100
"""Most levels of nested lists and mappings: more than any field has, and fewer than a
serialiser can handle."""
_SHOWN_LEVELS = 5
_MAX_UNAVAILABLE_RULE = "must be a number of at least 1, or a percentage such as 25%"


def parse(
    document: Mapping[str, Any], *, source: str = "manifest", on_cluster: bool = False
) -> LangGraphService:
    """The manifest as a model.

    `source` names the document in messages. `on_cluster` adds the rules that only hold on a cluster. Raises
    `ManifestError`.
    """
    if is_too_large(document.get("spec")):
        raise ManifestError(source, (Problem("spec", TOO_LARGE),))
    if (deep := too_deep(document.get("spec"))) is not None:
        rule = f"must have at most {MOST_LEVELS} levels of lists and mappings in each other"
        raise ManifestError(source, (Problem(_dotted(("spec", *deep[:_SHOWN_LEVELS])), rule),))
    try:
        service = LangGraphService.model_validate(document)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=True)
        problems = [_problem(detail, document) for detail in details]
        between = broken_among(document.get("spec"), details, on_cluster=on_cluster)
        # By their words: comparing each with each takes minutes if there are thousands.
        found: dict[str, Problem] = {}
        for each in (*problems, *between):
            found.setdefault(str(each), each)
        raise ManifestError(source, tuple(found.values())) from None
    problems_between = broken(service.spec, on_cluster=on_cluster)
    if problems_between:
        raise ManifestError(source, problems_between)
    return service


def load(path: Path | str, *, on_cluster: bool = False) -> LangGraphService:
    """The one `LangGraphService` in a YAML file; documents of other kinds are skipped.

    `on_cluster` is as in `parse`. Raises `ManifestError`, with the line if the YAML itself is broken.
    """
    path = Path(path)
    try:
        read = yaml.load_all(path.read_text("utf-8"), UniqueKeyLoader)
        documents = [document for document in read if document]
    except OSError as error:
        raise ManifestError(
            str(path), (Problem("file", "must be one that can be read", error.strerror or str(error)),)
        ) from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        what = error.problem or "can't be read as YAML"
        raise ManifestError(str(path), (Problem("YAML", what, line=line),)) from None
    except yaml.YAMLError as error:
        raise ManifestError(str(path), (Problem("YAML", str(error)),)) from None
    except UnicodeDecodeError as error:
        raise ManifestError(str(path), (Problem("YAML", f"is not UTF-8: {error.reason}"),)) from None
    except (RecursionError, ValueError) as error:
        # Too many levels or digits, or an impossible date.
        raise ManifestError(str(path), (Problem("YAML", f"can't be read: {error}"),)) from None
    ours = [each for each in documents if isinstance(each, dict) and each.get("kind") == KIND]
    if len(ours) > 1:
        raise ManifestError(str(path), (Problem("kind", f"must occur once, not {len(ours)} times", KIND),))
    if ours:
        return parse(ours[0], source=str(path), on_cluster=on_cluster)
    kinds = [each.get("kind") if isinstance(each, dict) else type(each).__name__ for each in documents]
    raise ManifestError(
        str(path),
        (Problem("kind", f"a document of kind {KIND} is needed", ", ".join(map(str, kinds)) or "none"),),
    )


def too_deep(value: Any, left: int = MOST_LEVELS) -> tuple[str | int, ...] | None:
    """The path to something nested deeper than `left` levels; None if there is nothing."""
    if not isinstance(value, dict | list):
        return None
    if left == 0:
        return ()
    for name, each in value.items() if isinstance(value, dict) else enumerate(value):
        if (found := too_deep(each, left - 1)) is not None:
            return (name, *found)
    return None


def _problem(detail: ErrorDetails, document: Mapping[str, Any]) -> Problem:
    location = location_of(detail)
    path = _dotted(location)
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return Problem(path, "unknown field" + _nearest(location))
    if kind == "missing":
        return Problem(path, "is required")
    value = _at(document, location)
    if "maxUnavailable" in location:
        return Problem(path, _MAX_UNAVAILABLE_RULE, value)
    return Problem(path, _rule(kind, context, detail["msg"]), value)


def _rule(kind: str, context: Mapping[str, Any], message: str) -> str:
    bounds = {
        "greater_than_equal": ("ge", "must be at least {}"),
        "greater_than": ("gt", "must be above {}"),
        "less_than_equal": ("le", "must be at most {}"),
        "less_than": ("lt", "must be below {}"),
        "string_too_long": ("max_length", "must have at most {} characters"),
        "string_too_short": ("min_length", "must have at least {} characters"),
        "too_long": ("max_length", "must have at most {} entries"),
        "too_short": ("min_length", "must have at least {} entries"),
        "literal_error": ("expected", "must be one of {}"),
    }
    types = {
        "int_type": "must be a whole number",
        "int_from_float": "must be a whole number",
        "float_type": "must be a number",
        "string_type": "must be a string",
        "bool_type": "must be true or false",
        "list_type": "must be a list",
        "dict_type": "must be a mapping",
        "model_type": "must be a mapping",
        "model_attributes_type": "must be a mapping",
        "finite_number": "must be a finite number",
    }
    if kind in bounds:
        key, words = bounds[kind]
        return words.format(_number(context[key]))
    if kind in types:
        return types[kind]
    if kind == "string_pattern_mismatch":
        return RULES.get(context["pattern"], message)
    return message


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _dotted(location: Sequence[int | str]) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    return path or "manifest"


def _at(document: Any, location: Sequence[int | str]) -> Any:
    for part in location:
        try:
            document = document[part]
        except (KeyError, IndexError, TypeError):
            return ABSENT
    return document


def _nearest(location: Sequence[int | str]) -> str:
    names = _names_at(location[:-1])
    close = difflib.get_close_matches(str(location[-1]), names, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; known here: {', '.join(sorted(names))}" if names else ""


def _names_at(location: Sequence[int | str]) -> list[str]:
    model: type[BaseModel] | None = LangGraphService
    for part in location:
        if isinstance(part, int):
            continue
        if model is None:
            return []
        annotation = next(
            (f.annotation for n, f in model.model_fields.items() if (f.alias or n) == part), None
        )
        model = _model_in(annotation)
    return [field.alias or name for name, field in model.model_fields.items()] if model else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for each in get_args(annotation) if (found := _model_in(each))), None)
