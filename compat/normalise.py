"""What two servers may say differently without differing: times, ids, and the order of what has none."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

UUID = r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}"
MADE = r"(?:(?:chatcmpl|resp|msg|call|toolu)_?-?|fc_)[0-9a-f]{24}"
TIME = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?"
PORT = r"127\.0\.0\.1:\d{4,5}"
PATHS = r"/[^\s\"']*/(?:runtime|development)/(?:source|venv)"
MILLISECONDS = 1_600_000_000_000  # since 1970: no number of an application is as large
PIECES = re.compile(
    f"(?P<time>{TIME})|(?P<made>{MADE})|(?P<id>{UUID}|\\b[0-9a-f]{{32}}\\b)|(?P<port>{PORT})|(?P<path>{PATHS})"
)


@dataclass
class Names:
    """The ids that the script itself made, and what it calls them."""

    known: dict[str, str] = field(default_factory=dict)

    def call(self, ident: object, name: str) -> str:
        """Gives an id its name; returns the id."""
        self.known[str(ident)] = f"<{name}>"
        return str(ident)


def plain(value: Any, names: Names, unordered: bool = False) -> Any:
    """The value with times replaced by a word, ids that the script named by their names, others marked,
    so that `compare` can check whether they recur at the same places."""
    body = value.get("body") if isinstance(value, dict) else None
    if unordered and isinstance(body, list):
        value = {**value, "body": sorted(body, key=_order)}
    elif unordered and isinstance(body, dict) and isinstance(body.get("items"), list):
        value = {**value, "body": {**body, "items": sorted(body["items"], key=_order)}}
    if isinstance(value, dict) and isinstance(value.get("events"), list):
        value = {**value, "events": _ended_at_once(value["events"])}
    return _plain(value, names)


def _ended_at_once(events: list[Any]) -> list[Any]:
    """The events of a stream, with results of tasks that follow each other in one order: which of several
    nodes that run at once, in threads, ends first is chance."""
    groups = [(is_result, list(group)) for is_result, group in groupby(events, key=_is_result)]
    return [
        event for is_result, group in groups for event in (sorted(group, key=_order) if is_result else group)
    ]


def _is_result(event: Any) -> bool:
    match event:
        case [str(name), {"result": _}]:
            return name.split("|")[0] == "tasks"
    return False


def _order(value: Any) -> str:
    return PIECES.sub("", json.dumps(value, sort_keys=True, default=str))


def _plain(value: Any, names: Names) -> Any:
    if isinstance(value, dict):
        return {_text(str(key), names): _plain(each, names) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each, names) for each in value]
    if isinstance(value, int) and not isinstance(value, bool) and value > MILLISECONDS:
        return "<time>"
    return _text(value, names) if isinstance(value, str) else value


def _text(text: str, names: Names) -> str:
    def named(found: re.Match[str]) -> str:
        piece, kind = found.group(), found.lastgroup
        if kind in ("time", "port", "path"):
            return f"<{kind}>"
        return names.known.get(piece, f"<id {piece}>")

    return PIECES.sub(named, text)
