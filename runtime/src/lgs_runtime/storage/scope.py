"""Scopes: which records a caller may touch, namely those whose metadata contains one of several documents.

Both databases can test containment (`@>` in PostgreSQL), so a scope is one parameter of a statement. `None`
in place of a scope means all records.
"""

from __future__ import annotations

from typing import Any

from lgs_runtime.database.json_columns import contains, dump
from lgs_runtime.errors import Forbidden
from lgs_runtime.model import Json, Scope


def covers(scope: Scope, metadata: Json) -> bool:
    """Whether a record with this metadata is within the scope."""
    return any(contains(dict(metadata), dict(document)) for document in scope.any_of)


def widened(scope: Scope | None, document: Json) -> Scope | None:
    """The scope, extended by the records that contain `document`."""
    return None if scope is None else Scope((*scope.any_of, document))


def made_within(scope: Scope | None, metadata: Json) -> dict[str, Any]:
    """The metadata of a record made within a scope. If the scope asks for one document, and `metadata` has
    none of its keys, the document is added. Raises `Forbidden` when the metadata is outside the scope
    otherwise."""
    if scope is None or covers(scope, metadata):
        return dict(metadata)
    if len(scope.any_of) == 1 and not scope.any_of[0].keys() & metadata.keys():
        return {**metadata, **scope.any_of[0]}
    raise Forbidden("metadata: what is made must be within what the caller may see")


def check_kept(scope: Scope | None, changes: Json) -> None:
    """Raises `Forbidden` when merging `changes` into the metadata of a record would take it out of the
    scope."""
    if scope is not None and not any(
        contains({**document, **changes}, dict(document)) for document in scope.any_of
    ):
        raise Forbidden("metadata: a change must not take it out of what the caller may see")


def documents(scope: Scope | None) -> list[str] | None:
    """The scope as a parameter of a PostgreSQL statement: `jsonb[]`, or null for all records."""
    return None if scope is None else [dump(document) for document in scope.any_of]


def document_list(scope: Scope | None) -> str | None:
    """The scope as a parameter of an SQLite statement: a JSON array, or null for all records."""
    return None if scope is None else dump(list(scope.any_of))
