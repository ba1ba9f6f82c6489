"""Does a live object still have everything that is wanted? Pure.

Only what the wanted object says is compared. No drift are: defaults that the API server fills in, fields of
other controllers, list entries that others added (told apart by `KEYS`), and a quantity that the API server
writes differently. A false alarm costs one apply that changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lgs_operator.kube.quantity import is_quantity, same_quantity

KEYS: Final = ("mountPath", "devicePath", "name")
"""The fields that identify a list entry, wherever it stands: a volume may be mounted at several places."""


def covers(live: Any, wanted: Any, path: tuple[str, ...] = ()) -> bool:
    """Whether each field of `wanted` is in `live` with the same value; `path` is the field names that lead to
    them."""
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(
            covers(live.get(name), value, (*path, name)) if name in live else _is_empty(value)
            for name, value in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(live, list) and _list_covers(live, wanted, path)
    return same_quantity(live, wanted, path) if is_quantity(path) else bool(live == wanted)


def as_admitted(answer: Any, wanted: Any) -> Any:
    """The wanted fields, with the values from the API server's answer: at admission, something in the
    cluster, such as a webhook that names a mirror for images, may change what is applied."""
    if isinstance(wanted, Mapping) and isinstance(answer, Mapping):
        return {name: as_admitted(answer[name], value) for name, value in wanted.items() if name in answer}
    if isinstance(wanted, list) and isinstance(answer, list) and _are_named(wanted):
        named = {_key(each): each for each in answer if isinstance(each, Mapping)}
        return [as_admitted(named[_key(each)], each) for each in wanted if _key(each) in named]
    return answer


def _are_named(entries: list[Any]) -> bool:
    return bool(entries) and all(isinstance(each, Mapping) and "name" in each for each in entries)


def _key(entry: Mapping[str, Any]) -> Any:
    return next((entry[each] for each in KEYS if each in entry), None)


def _list_covers(live: list[Any], wanted: list[Any], path: tuple[str, ...]) -> bool:
    if _are_named(wanted):
        # Several entries may have the same name: references to listeners of one Gateway.
        known = [each for each in live if isinstance(each, Mapping)]
        return all(
            any(covers(there, each, path) for there in known if _key(there) == _key(each)) for each in wanted
        )
    return len(live) == len(wanted) and all(covers(a, b, path) for a, b in zip(live, wanted, strict=True))


def _is_empty(value: Any) -> bool:
    # the API server leaves out empty maps, lists, strings and false
    return value is None or value is False or (isinstance(value, str | list | dict) and not value)
