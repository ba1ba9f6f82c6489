"""Converts items to a form that both databases take, and back: with NUL, half surrogate pairs and integers of
any size, in namespaces, keys and values. All other items look in LangGraph's tables as its own stores write
them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

import orjson
from langgraph.store.base import GetOp, Item, ListNamespacesOp, Op, PutOp, Result, SearchOp

from lgs_runtime.database.json_columns import dump, escape, restored, unescape
from lgs_runtime.store.filters import as_one


def encoded(op: Op) -> Op:
    """The operation in a form that databases take. Keys become texts: LangGraph itself converts those it
    looks up, but not those it puts."""
    if isinstance(op, PutOp):
        value = None if op.value is None else _document(op.value)
        return op._replace(namespace=_labels(op.namespace), key=escape(str(op.key)), value=value)
    if isinstance(op, GetOp):
        return op._replace(namespace=_labels(op.namespace), key=escape(str(op.key)))
    if isinstance(op, SearchOp):
        wanted = as_one(op.filter) if op.filter else None
        return op._replace(namespace_prefix=_labels(op.namespace_prefix), filter=wanted)
    if isinstance(op, ListNamespacesOp) and op.match_conditions:
        conditions = tuple(each._replace(path=_labels(each.path)) for each in op.match_conditions)
        return op._replace(match_conditions=conditions)
    return op


def _labels(namespace: Iterable[str]) -> Any:
    return tuple(map(escape, namespace))


def _document(value: Mapping[str, Any]) -> Any:
    try:
        orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        # What is no JSON raises here.
        json.dumps(value)
    return orjson.loads(dump(value))


def decoded(result: Result) -> Result:
    """What a store found, as it was before `encoded`."""
    if isinstance(result, Item):
        return _item(result)
    if isinstance(result, list):
        return cast(Result, [_item(each) if isinstance(each, Item) else _names(each) for each in result])
    return result


def _item(item: Item) -> Item:
    item.namespace, item.key = _names(item.namespace), unescape(item.key)
    item.value = restored(item.value)
    return item


def _names(namespace: Iterable[str]) -> tuple[str, ...]:
    return tuple(map(unescape, namespace))
