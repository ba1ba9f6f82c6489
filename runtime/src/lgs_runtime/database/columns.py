"""Rows as columns, for statements that take many rows at once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any


def columns(rows: Collection[Sequence[Any]]) -> list[Sequence[Any] | None]:
    """An array for each column of rows of one width, and None for a column that has no value in any row: the
    driver looks at each element of an array, and `unnest` fills up what is shorter with NULL."""
    return [None if column.count(None) == len(column) else column for column in zip(*rows, strict=True)]
