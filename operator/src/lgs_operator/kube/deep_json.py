"""Reads JSON as deep as the API server takes it, on any Python. From 3.12 on the parser in C stops at a depth
that no setting raises (1,500 levels in 3.12.1, 10,000 in 3.13), and the list with an object of 10,000 levels
is deeper. One tenant's service would end the watch of all."""

from __future__ import annotations

import json
from json import scanner
from typing import Any


class DeepDecoder(json.JSONDecoder):
    """Falls back to Python's own parser for what is too deep for the parser in C; it takes two frames a
    level, and more time. Raises `RecursionError` if that is too deep, too."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._options = options

    def decode(self, s: str, *where: Any) -> Any:
        """Like `json.JSONDecoder.decode`."""
        try:
            return super().decode(s, *where)
        except RecursionError:
            slow = json.JSONDecoder(**self._options)
            slow.scan_once = scanner.py_make_scanner(slow)  # type: ignore[attr-defined]
            return slow.decode(s, *where)


def read_deeply() -> None:
    """Makes the whole process read JSON this way, including the libraries that watch the cluster for it."""
    json._default_decoder = DeepDecoder()  # type: ignore[attr-defined]
