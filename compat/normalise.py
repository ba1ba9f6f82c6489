"""What two servers may say differently without differing: ids, times, and the order of what has none."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

UUID = r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}"
MADE = r"(?:chatcmpl|resp|msg|fc|call|toolu)_?-?[0-9a-f]{24}"
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
    """The value with every id and time replaced by a name; within one answer the same id has the same name.

    An id is named for the place where it comes first, so that two answers agree only if the same ids recur at
    the same places, and one that only one server tells moves no other.
    """
    if unordered and isinstance(value, dict) and isinstance(value.get("body"), list):
        value = {**value, "body": sorted(value["body"], key=_order)}
    return _Naming(names).of(value, "")


def _order(value: Any) -> str:
    return PIECES.sub("", json.dumps(value, sort_keys=True, default=str))


@dataclass
class _Naming:
    names: Names
    given: dict[str, str] = field(default_factory=dict)

    def of(self, value: Any, path: str) -> Any:
        if isinstance(value, dict):
            return {
                self._text(str(key), path): self.of(value[key], f"{path}.{key}")
                for key in sorted(value, key=str)
            }
        if isinstance(value, list):
            return [self.of(each, f"{path}[{at}]") for at, each in enumerate(value)]
        if isinstance(value, int) and not isinstance(value, bool) and value > MILLISECONDS:
            return "<time>"
        return self._text(value, path) if isinstance(value, str) else value

    def _text(self, text: str, path: str) -> str:
        return PIECES.sub(lambda found: self._named(found, path), text)

    def _named(self, found: re.Match[str], path: str) -> str:
        text, kind = found.group(), found.lastgroup
        if kind in ("time", "port", "path"):
            return f"<{kind}>"
        if text in self.names.known:
            return self.names.known[text]
        place = PIECES.sub("", path).lstrip(".")
        return self.given.setdefault(text, f"<{kind} first at {place}+{found.start()}>")
