"""The filters that authorisation handlers return, as the scopes that the storage enforces.

`{key: value}` and `{key: {"$eq": value}}` mean that the metadata has this value, and
`{key: {"$contains": value}}` that it has a list with this value (or with all of several). Keys of one object
are combined by AND; `$or` and `$and` combine lists of filters. Anything else is an error of the handler, and
then nothing is permitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lgs_runtime.checks import kind_of
from lgs_runtime.model import Scope

MOST_DOCUMENTS = 64


class BadFilter(Exception):
    """A handler returned something that is no valid filter."""


def parse_filter(given: Mapping[str, Any]) -> Scope | None:
    """The scope of a filter; None for an empty filter, which lets all records through. Raises
    `BadFilter`."""
    return Scope(tuple(_any_of(given))) if given else None


def _any_of(given: Any) -> list[dict[str, Any]]:
    """A filter as a list of documents; the metadata must contain at least one of them."""
    if not isinstance(given, Mapping):
        raise BadFilter(f"a filter is {kind_of(given)}; it must be an object")
    found: list[dict[str, Any]] = [{}]
    for key, wanted in given.items():
        found = _both(found, _alternatives(key, wanted))
    return found


def _alternatives(key: Any, wanted: Any) -> list[dict[str, Any]]:
    if key == "$or":
        return [document for part in _parts(key, wanted) for document in _any_of(part)]
    if key == "$and":
        joined: list[dict[str, Any]] = [{}]
        for part in _parts(key, wanted):
            joined = _both(joined, _any_of(part))
        return joined
    if not isinstance(key, str) or key.startswith("$"):
        raise BadFilter(f"{key!r} is no field and none of $or and $and")
    if not isinstance(wanted, Mapping):
        return [{key: _scalar(key, wanted)}]
    joined = [{}]
    for operator, value in wanted.items():
        joined = _both(joined, [{key: _operand(key, operator, value)}])
    return joined


def _operand(key: str, operator: Any, value: Any) -> Any:
    if operator == "$eq":
        return _scalar(key, value)
    if operator == "$contains":
        wanted = value if isinstance(value, list | tuple | set | frozenset) else [value]
        return [_scalar(key, one) for one in wanted]
    raise BadFilter(f"{key}: {operator!r} is none of $eq and $contains")


def _parts(key: str, wanted: Any) -> list[Any]:
    if not isinstance(wanted, list | tuple) or not wanted:
        raise BadFilter(f"{key} has {kind_of(wanted)}; it must have a list of filters")
    return list(wanted)


def _scalar(key: str, value: Any) -> Any:
    if value is not None and not isinstance(value, str | int | float):
        raise BadFilter(f"{key}: {kind_of(value)} can't be compared; it must be a text or a number")
    return value


def _both(left: list[dict[str, Any]], right: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The documents that require both sides. Pairs that contradict each other are left out."""
    joined = [merged for one in left for other in right if (merged := _merged(one, other)) is not None]
    if len(joined) > MOST_DOCUMENTS:
        raise BadFilter(f"a filter has {len(joined)} alternatives; it must have at most {MOST_DOCUMENTS}")
    return joined


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any] | None:
    merged = dict(one)
    for key, value in other.items():
        if key not in merged:
            merged[key] = value
        elif isinstance(merged[key], list) and isinstance(value, list):
            merged[key] = [*merged[key], *value]
        elif type(merged[key]) is not type(value) or merged[key] != value:
            return None
    return merged
