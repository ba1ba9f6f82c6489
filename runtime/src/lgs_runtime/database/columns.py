"""Turns rows into columns, for statements that take many rows at once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any


def columns(rows: Collection[Sequence[Any]]) -> list[Sequence[Any] | None]:
    """An array for each column of the rows, which have one width, and None for a column without a value in
    any row. None saves time, as the driver looks at each element of an array; `unnest` fills up what is
    shorter with NULL."""
    return [None if column.count(None) == len(column) else column for column in zip(*rows, strict=True)]
