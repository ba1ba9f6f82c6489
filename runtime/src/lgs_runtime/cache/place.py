"""Where a value is."""

from __future__ import annotations

from typing import NamedTuple


class Place(NamedTuple):
    """The namespace that counts a value, and its key in memory and in Redis."""

    namespace: str
    key: str
