"""Equal parts of objects are kept in memory once. The objects of a thousand services differ in names and
times; their containers, probes and lists of fields are the same."""

from __future__ import annotations

import marshal
from collections.abc import Collection, Mapping
from hashlib import blake2b
from typing import Any, Final
from weakref import WeakValueDictionary

_VERSION: Final = 2
"""Of marshal's form: the last one in which equal values always have equal bytes."""


class SharedMap(dict[str, Any]):
    """A map that is freed when the last object that has it is gone."""

    __slots__ = ("__weakref__",)


class SharedList(list[Any]):
    """A list that is freed when the last object that has it is gone."""

    __slots__ = ("__weakref__",)


_parts: WeakValueDictionary[bytes, SharedMap | SharedList] = WeakValueDictionary()


def shared(value: Any, own: Collection[bytes] = ()) -> Any:
    """An equal value whose maps and lists are those that other objects have, too: nobody may change them.
    What has a word of `own` in it is the object's own, and not looked for elsewhere. What is nested too
    deeply to compare is left as it is."""
    if not value or type(value) not in (dict, list):
        return value
    try:
        text = marshal.dumps(value, _VERSION)
    except ValueError:
        return value
    if any(word in text for word in own):
        return _with_shared_parts(value, own)
    key = blake2b(text, digest_size=16).digest()
    known = _parts.get(key)
    if known is None:
        parts = _with_shared_parts(value, ())
        known = _parts[key] = SharedMap(parts) if isinstance(parts, dict) else SharedList(parts)
    return known


def _with_shared_parts(value: Any, own: Collection[bytes]) -> Any:
    if isinstance(value, dict):
        return {name: shared(each, own) for name, each in value.items()}
    return [shared(each, own) for each in value]


def shared_fields(
    value: Mapping[str, Any], own: Collection[bytes] = (), left: Collection[str] = ()
) -> dict[str, Any]:
    """A new map with shared values, but for those of the fields in `left`."""
    return {name: each if name in left else shared(each, own) for name, each in value.items()}


def word(text: str) -> bytes:
    """A word of `own`: a text that is exactly this one, which marshal writes after its length."""
    raw = text.encode(errors="surrogatepass")
    return len(raw).to_bytes(4, "little") + raw
