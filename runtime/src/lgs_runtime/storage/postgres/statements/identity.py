"""Statements that tell a database from another one, or from an empty one."""

from __future__ import annotations

from typing import Final

ID: Final = "SELECT id FROM lgs_database"

_WITH: Final = {
    "checkpoint_migrations": ("checkpoints", "checkpoint_blobs", "checkpoint_writes"),
    "store_migrations": ("store",),
}
"""Where the first table exists, the tables listed with it must exist too. Neither need exist: an application
may bring a saver or a store of its own."""


def _is_there(table: str) -> str:
    return f"to_regclass('{table}') IS NOT NULL"


TABLES_ARE_THERE: Final = "SELECT " + " AND ".join(
    (
        *map(_is_there, ("lgs_database", "lgs_thread", "lgs_run")),
        *(
            f"({_is_there(first)}) <= ({_is_there(each)})"
            for first, others in _WITH.items()
            for each in others
        ),
    )
)
