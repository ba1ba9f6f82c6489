"""JSON as deep as the API server takes it, on whatever Python: from 3.12 on the parser in C stops at a depth
that no setting raises (1,500 levels in 3.12.1, 10,000 in 3.13), and the list of an object of 10,000 levels
has more. One service of a tenant's would end the watch of all.
"""

from __future__ import annotations

import json
from json import scanner
from typing import Any


class DeepDecoder(json.JSONDecoder):
    """Reads what is too deep for the parser in C by Python's own, which takes two frames a level and more
    time. Raises `RecursionError` where that is too deep, too."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._options = options

    def decode(self, s: str, *where: Any) -> Any:
        """As any decoder's."""
        try:
            return super().decode(s, *where)
        except RecursionError:
            slow = json.JSONDecoder(**self._options)
            slow.scan_once = scanner.py_make_scanner(slow)  # type: ignore[attr-defined]
            return slow.decode(s, *where)


def read_deeply() -> None:
    """Has all of this process read so, also the libraries that follow the cluster for it."""
    json._default_decoder = DeepDecoder()  # type: ignore[attr-defined]
