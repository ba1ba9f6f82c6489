"""Merges two OpenAPI descriptions: ours, and over it that of the service's own application."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Description = Mapping[str, Any]


def joined_description(ours: Description, theirs: Description) -> dict[str, Any]:
    """All paths of both. An operation that both have is theirs, because their route answers. A component of
    theirs is renamed if ours has the same name and another meaning."""
    components = ours.get("components", {})
    renamed = _renamed(components, theirs.get("components", {}))
    own = _with_names(theirs, renamed)
    paths = dict(ours.get("paths", {}))
    for path, operations in own.get("paths", {}).items():
        paths[path] = {**paths.get(path, {}), **operations}
    kinds = {**components, **{kind: {} for kind in own.get("components", {}) if kind not in components}}
    return {
        **ours,
        "paths": paths,
        "components": {
            kind: {**named, **own.get("components", {}).get(kind, {})} for kind, named in kinds.items()
        },
        "tags": [*ours.get("tags", ()), *own.get("tags", ())],
    }


def _renamed(ours: Description, theirs: Description) -> dict[tuple[str, str], str]:
    """New names, by kind and old name, of their components that would be mistaken for ours."""
    return {
        (kind, name): _free(name, {*ours[kind], *named})
        for kind, named in theirs.items()
        for name, meaning in named.items()
        if name in ours.get(kind, {}) and ours[kind][name] != meaning
    }


def _free(name: str, taken: set[str]) -> str:
    candidate = f"App{name}"
    while candidate in taken:
        candidate = f"App{candidate}"
    return candidate


def _with_names(theirs: Description, renamed: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    references = {
        f"#/components/{kind}/{old}": f"#/components/{kind}/{new}" for (kind, old), new in renamed.items()
    }
    components = {
        kind: {renamed.get((kind, name), name): part for name, part in named.items()}
        for kind, named in theirs.get("components", {}).items()
    }
    replaced: dict[str, Any] = _replaced({**theirs, "components": components}, references)
    return replaced


def _replaced(part: Any, references: Mapping[str, str]) -> Any:
    if isinstance(part, str):
        return references.get(part, part)
    if isinstance(part, Mapping):
        return {name: _replaced(inner, references) for name, inner in part.items()}
    if isinstance(part, list):
        return [_replaced(inner, references) for inner in part]
    return part
