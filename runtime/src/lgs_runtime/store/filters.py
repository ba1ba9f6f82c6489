"""Filters of a store search, the same on both databases and as in LangGraph's store in memory: any keys,
nested objects, numbers compared as numbers. LangGraph's own stores compare numbers as texts on PostgreSQL; on
SQLite they take a period in a key for a path, and refuse most other special characters.

A filter maps keys to values. A value that is an object with operators (`$eq`, `$ne`, `$gt`, `$gte`, `$lt`,
`$lte`) compares; another object is a filter for the object at that key; anything else must be equal. None
also matches a missing key. Numbers are compared with numbers, and texts with texts, by their characters.
"""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

import orjson

from lgs_runtime.database.json_columns import FLOAT, INTEGER, dump, escape, load

MATCHES: Final = "lgs_store_matches"
"""The SQLite function that `sqlite_condition` calls: `matches_texts`."""
_ORDERS: Final[Mapping[str, tuple[str, Callable[[Any, Any], bool]]]] = {
    "$gt": (">", operator.gt),
    "$gte": (">=", operator.ge),
    "$lt": ("<", operator.lt),
    "$lte": ("<=", operator.le),
}
_WHOLE: Final = "$filter"
MOST_KEYS: Final = 2000
"""Keys of a filter, each counted together with those above it: PostgreSQL is given the whole path of each
key, several times, and takes 65,535 values with a statement."""
_MARKED: Final = f"^({INTEGER}-?[0-9]+|{FLOAT}-?[0-9.]+e[+][0-9]+)$"
"""Matches the text form of a number that jsonb does not keep."""

Condition = tuple[str, list[Any]]


def as_one(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Wraps the filter so that LangGraph's stores pass it on unread to their `_get_filter_condition`. Raises
    `ValueError` for an unknown operator, or one that can't compare with its value; `TypeError` for a value
    that no item can hold."""
    try:
        kept = _as_kept(wanted)
        if _weight(kept) > MOST_KEYS:
            raise ValueError(f"filter: must be of at most {MOST_KEYS} keys, each counted with those above it")
        _check(kept)
    except RecursionError:
        raise ValueError("filter: is nested too deeply") from None
    return {"filter": {_WHOLE: kept}}


def _weight(wanted: Mapping[str, Any], depth: int = 1) -> int:
    inner = sum(_weight(each, depth + 1) for each in wanted.values() if isinstance(each, Mapping))
    return depth * len(wanted) + inner


def _as_kept(wanted: Any) -> Any:
    """The filter with times, identifiers and the like as the texts that are stored in items."""
    if isinstance(wanted, Mapping):
        return {key: _as_kept(each) for key, each in wanted.items()}
    if isinstance(wanted, list | tuple):
        return [_as_kept(each) for each in wanted]
    if wanted is None or isinstance(wanted, str | int | float):
        return wanted
    return orjson.loads(orjson.dumps(wanted, option=orjson.OPT_NON_STR_KEYS))


def _check(wanted: Mapping[str, Any]) -> None:
    for value in wanted.values():
        if not isinstance(value, Mapping):
            continue
        if not _compares(value):
            _check(value)
            continue
        for name, than in value.items():
            if name not in _ORDERS and name not in ("$eq", "$ne"):
                raise ValueError(f"Unsupported operator: {name}")
            if name in _ORDERS and (isinstance(than, bool) or not isinstance(than, int | float | str)):
                raise ValueError(f"{name}: {than!r}: must be a number or a text")


def _compares(wanted: Mapping[str, Any]) -> bool:
    return any(str(name).startswith("$") for name in wanted)


def matches(found: Any, wanted: Mapping[str, Any]) -> bool:
    """Whether a value matches a filter."""
    return isinstance(found, dict) and all(_is_so(found.get(key), each) for key, each in wanted.items())


def _is_so(found: Any, wanted: Any) -> bool:
    if not isinstance(wanted, Mapping):
        return _same(found, wanted)
    if not _compares(wanted):
        return matches(found, wanted)
    return all(_holds(found, name, than) for name, than in wanted.items())


def _holds(found: Any, name: str, than: Any) -> bool:
    if name in ("$eq", "$ne"):
        return _same(found, than) is (name == "$eq")
    if isinstance(than, str):
        # In PostgreSQL's order.
        return isinstance(found, str) and _ORDERS[name][1](escape(found), escape(than))
    return isinstance(found, int | float) and not isinstance(found, bool) and _ORDERS[name][1](found, than)


def _same(one: Any, other: Any) -> bool:
    """Equality as in JSON: true is no number."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return bool(one == other)


def matches_texts(value: str | bytes, wanted: str) -> bool:
    """`matches` for an item's value as it is stored, and a filter as it is sent, both JSON documents."""
    return matches(load(value), _read(wanted))


_read: Callable[[str], Any] = lru_cache(maxsize=64)(json.loads)
"""Cached, since one filter is compared with many items."""


def sqlite_condition(wanted: Mapping[str, Any]) -> Condition:
    """The condition on the column `value`."""
    return f"{MATCHES}(value, ?)", [json.dumps(wanted)]


def postgres_condition(wanted: Mapping[str, Any]) -> Condition:
    """The condition on the column `value`, which holds jsonb."""
    return _all_of("value", [], wanted)


def _all_of(at: str, path: list[Any], wanted: Mapping[str, Any]) -> Condition:
    parts = [_one("(" + at + "->%s::text)", [*path, escape(str(key))], each) for key, each in wanted.items()]
    texts = [f"jsonb_typeof({at}) = 'object'", *(text for text, _ in parts)]
    return "(" + " AND ".join(texts) + ")", [*path, *(each for _, given in parts for each in given)]


def _one(at: str, path: list[Any], wanted: Any) -> Condition:
    if not isinstance(wanted, Mapping):
        return _equals(at, path, wanted)
    if not _compares(wanted):
        return _all_of(at, path, wanted)
    parts = [_compared(at, path, name, than) for name, than in wanted.items()]
    return " AND ".join(text for text, _ in parts), [each for _, given in parts for each in given]


def _compared(at: str, path: list[Any], name: str, than: Any) -> Condition:
    if name in ("$eq", "$ne"):
        text, given = _equals(at, path, than)
        return (text if name == "$eq" else f"({text}) IS NOT TRUE"), given
    return _ordered(at, path, _ORDERS[name][0], than)


def _ordered(at: str, path: list[Any], sign: str, than: Any) -> Condition:
    """Compares with a text or a number. CASE keeps values of another kind from being cast."""
    found = f"({at} #>> '{{}}')"
    if isinstance(than, str):
        kind = f"jsonb_typeof({at}) = 'string' AND {found} !~ '{_MARKED}'"
        text = f'(CASE WHEN {kind} THEN {found} COLLATE "C" END {sign} %s::text) IS TRUE'
        return text, [*path, *path, *path, escape(than)]
    plain = f"WHEN jsonb_typeof({at}) = 'number' THEN {found}::numeric"
    marked = f"WHEN {found} ~ '{_MARKED}' THEN substr({found}, 3)::numeric"
    return f"(CASE {plain} {marked} END {sign} %s::numeric) IS TRUE", [*path * 4, str(than)]


def _equals(at: str, path: list[Any], wanted: Any) -> Condition:
    if wanted is None:
        return f"coalesce({at}, 'null'::jsonb) = 'null'::jsonb", path
    if isinstance(wanted, int | float) and not isinstance(wanted, bool) and math.isfinite(wanted):
        return _ordered(at, path, "=", wanted)
    return f"{at} = %s::jsonb", [*path, dump(wanted)]
