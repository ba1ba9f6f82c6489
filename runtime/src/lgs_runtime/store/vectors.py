"""Search by meaning on SQLite, with any Python: LangGraph's store needs one function of sqlite-vec for it.

If Python's `sqlite3` can load extensions, that function is the extension's own. Otherwise it is the one here,
over the same bytes (float32, as sqlite-vec stores them), so a file can be opened with either.
"""

from __future__ import annotations

import math
import operator
import sqlite3
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final

import aiosqlite

from lgs_runtime.database.sqlite import translated

COSINE: Final = "vec_distance_cosine"
FLOAT_BYTES: Final = 4
LOADS_EXTENSIONS: Final = hasattr(sqlite3.Connection, "enable_load_extension")


def cosine_distance(stored: bytes, asked: bytes) -> float | None:
    """One minus the cosine of the angle between two vectors of float32: 0 for the same direction, 2 for the
    opposite. None if one of them has no direction. Raises `ValueError` for vectors of different lengths.

    It costs some 50 µs with 1,536 dimensions.
    """
    (one, one_length), (other, other_length) = _read(stored), _remembered(asked)
    if len(one) != len(other):
        raise ValueError(f"vectors of {len(one)} and {len(other)} dimensions can't be compared")
    if one_length == 0.0 or other_length == 0.0:
        return None
    product: float = sum(map(operator.mul, one, other))
    return 1.0 - product / (one_length * other_length)


def _read(vector: bytes) -> tuple[Sequence[float], float]:
    numbers = memoryview(vector).cast("f").tolist()
    return numbers, math.hypot(*numbers)


_remembered: Callable[[bytes], tuple[Sequence[float], float]] = lru_cache(maxsize=8)(_read)
"""Cached, since one queried vector is compared with many stored ones."""


class VectorConnection(aiosqlite.Connection):
    """A connection on which a store can search by meaning: asked to load sqlite-vec, it loads it, or
    registers its own function instead. Errors of the file become `StorageUnavailable`."""

    def __init__(self, file: Path, *, own: bool = not LOADS_EXTENSIONS, **options: Any) -> None:
        """`own`: use the function of this module. `options` are those of `sqlite3.connect`."""
        super().__init__(partial(sqlite3.connect, str(file), **options), iter_chunk_size=64)
        self._own = own
        self._file = file

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        # Everything that reaches SQLite, from cursors too, passes here, and nothing of the store's users.
        with translated(self._file):
            return await super()._execute(fn, *args, **kwargs)  # type: ignore[no-untyped-call]

    async def enable_load_extension(self, value: bool) -> None:
        """See aiosqlite."""
        if not self._own:
            await super().enable_load_extension(value)

    async def load_extension(self, path: str) -> None:
        """See aiosqlite."""
        if self._own:
            await self.create_function(COSINE, 2, cosine_distance, deterministic=True)
        else:
            await super().load_extension(path)
